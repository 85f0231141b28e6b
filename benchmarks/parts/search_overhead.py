"""What a search costs besides training: the time to the first epoch's result, and what a trial adds."""

import subprocess
import time
from pathlib import Path

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.repeated_spectra import simulated_root
from benchmarks.timed_searches import OURS, environment, ours
from spectral_search.errors import RunError
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

_SMALL, _TINY = (2048, 512, 4096), (512, 128, 64)
"""Spectra to train and to validate on, and pixels."""
_TRIALS, _QUICK_TRIALS = (48, 16), (4, 2)
"""Trials of the search that trains nothing, and how many are over before time counts."""
_ROUNDS = 2
_POLL_SECONDS = 0.02
_PHYSICS = (
    "Before the first epoch come imports of torch and Ray, the cluster, reading, the preprocessing and the processes "
    "that train. What a trial adds is the time from one trial's end to the next one's, once all processes are there, "
    "in a search of trials of one epoch on spectra so few that training costs nothing: proposing it, scheduling it, "
    "its folder, its record and its checkpoint."
)


def measure(context: BenchContext) -> Findings:
    """Time the first result, and trials that train next to nothing."""
    small = simulated_root(*(_TINY if context.quick else _SMALL), context.progress("simulating"))
    tiny = simulated_root(*_TINY, context.progress("simulating"))
    context.say("overhead: the first epoch's result, then trials that train nothing")
    first = _first_result_seconds(small, context.scratch)
    trials, settled = _QUICK_TRIALS if context.quick else _TRIALS
    added = min(
        _added_seconds(tiny, trials, settled, context.scratch, turn) for turn in range(1 if context.quick else _ROUNDS)
    )
    rows = [
        Row("from the command to the first epoch's result", first, "s", target=Target("at most", 15.0)),
        Row("what a trial adds beyond its training", added, "s", target=Target("at most", 0.3)),
    ]
    return Findings(rows, _PHYSICS, details={"trials": trials, "after": settled})


def _added_seconds(root: Path, trials: int, settled: int, results: Path, turn: int) -> float:
    """Seconds a trial, of those that end after so many have."""
    name = f"trivial-{turn}"
    options = {"--data-root": root, "--trials": trials, "--epochs": 1, "--name": name}
    ours(["step1", *(str(part) for option in options.items() for part in option)], results)
    record = RunRecord.load(RunPaths(results, name))
    ends = sorted(trial.ended for trial in record.trials if trial.ended is not None)
    return (ends[-1] - ends[settled - 1]).total_seconds() / (len(ends) - settled)


def _first_result_seconds(root: Path, results: Path) -> float:
    """Seconds until the first line of a trial's progress is on disk."""
    name = "first-result"
    arguments = ["run", "step1", "--data-root", str(root), "--trials", "4", "--epochs", "20", "--name", name]
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
            time.sleep(_POLL_SECONDS)
    if process.returncode != 0 or seconds is None:
        raise RunError(f"A measured search ended with code {process.returncode}.")
    return seconds
