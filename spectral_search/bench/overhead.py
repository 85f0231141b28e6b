"""What a search costs besides training: the time to the first epoch's result, and what a trial adds."""

import subprocess
import time
from pathlib import Path

from spectral_search.bench.around import Around
from spectral_search.bench.commands import OURS, environment, ours
from spectral_search.bench.findings import Findings, Row, Target
from spectral_search.bench.spectra import simulated_root
from spectral_search.errors import RunError

SMALL, TINY = (2048, 512, 4096), (512, 128, 64)
"""Spectra to train and to validate on, and pixels."""
TRIALS, QUICK_TRIALS = (8, 40), (2, 4)
ROUNDS = 2
POLL_SECONDS = 0.02
PHYSICS = (
    "Before the first epoch come imports of torch and Ray, the cluster, reading, the preprocessing and the processes "
    "that train. What a trial adds is the slope of the wall time over the number of trials of one epoch on spectra "
    "so few that training costs nothing: proposing it, scheduling it, its folder, its record and its checkpoint."
)


def measure(around: Around) -> Findings:
    """Time the first result, and searches of few and of many trials that train next to nothing."""
    small = simulated_root(*(TINY if around.quick else SMALL), around.progress("simulating"))
    tiny = simulated_root(*TINY, around.progress("simulating"))
    around.say("overhead: the first epoch's result, then trials that train nothing")
    first = _first_result_seconds(small, around.scratch)
    few, many = QUICK_TRIALS if around.quick else TRIALS
    rounds = 1 if around.quick else ROUNDS
    walls = [min(_trivial(tiny, trials, around.scratch) for _ in range(rounds)) for trials in (few, many)]
    slope = (walls[1] - walls[0]) / (many - few)
    rows = [
        Row("from the command to the first epoch's result", first, "s", target=Target("at most", 15.0)),
        Row("what a trial adds beyond its training", slope, "s", target=Target("at most", 0.3)),
    ]
    return Findings(rows, PHYSICS, details={"trials": [few, many], "wall_seconds": walls})


def _trivial(root: Path, trials: int, results: Path) -> float:
    arguments = ["step1", "--data-root", str(root), "--trials", str(trials), "--epochs", "1"]
    return ours(arguments, results).seconds


def _first_result_seconds(root: Path, results: Path) -> float:
    """Seconds until the first line of a trial's progress is on disk."""
    name = "first-result"
    arguments = ["run", "step1", "--data-root", str(root), "--trials", "4", "--epochs", "2", "--name", name]
    started = time.perf_counter()
    with subprocess.Popen(
        [*OURS, *arguments, "--results", str(results), "--json"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        seconds = None
        while process.poll() is None:
            if seconds is None and any(results.glob(f"{name}/trials/*/progress.jsonl")):
                seconds = time.perf_counter() - started
            time.sleep(POLL_SECONDS)
    if process.returncode != 0 or seconds is None:
        raise RunError(f"A measured search ended with code {process.returncode}.")
    return seconds
