"""Searches whose processes are killed at random moments, for so many minutes: each must end as one without a kill.

One search after the other is begun, on each executor in turn. While it runs its driver, with everything that it
started, or one process of a trial or pass is killed (SIGKILL), again and again; then it is resumed to its end. What it
found, every epoch of every trial and the winner, is compared with the same search in one process that nobody kills.

    python -m benchmarks.soak --minutes 30
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks.many_trials import write_search
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

_EXECUTORS = ("inline", "shared", "separate")
_TRIALS, _EPOCHS, _KILLS = 16, 8, 3
"""Of a search, and how often its processes are killed at most."""
_PATIENCE_S = (2.0, 12.0)
"""Between two kills: Ray's start falls into it as well as training."""
_TOLERANCE = 1e-6
_SEED = 7


def soak(folder: Path, minutes: float, executors: tuple[str, ...] = _EXECUTORS) -> dict[str, Any]:
    """Carry out searches until the minutes are over; how many there were, and which ended unlike the reference.

    Args:
        folder: An empty one.
        minutes: No search begins later than this; one at least is carried out.
        executors: Taken in turn.
    """
    spec = _write(folder)
    results, rng, until = folder / "results", random.Random(_SEED), time.monotonic() + 60 * minutes
    _finished(_command(spec, results, "reference", "inline"), 600.0)
    expected = _facts(RunPaths(results, "reference"))
    told: dict[str, Any] = {"searches": 0, "kills_of_drivers": 0, "kills_of_workers": 0, "unequal": []}
    for number, executor in enumerate(cycle(executors)):
        if number and time.monotonic() > until:
            return told
        paths = RunPaths(results, f"soak-{number}")
        _disturbed(spec, paths, executor, rng, told)
        told["searches"] += 1
        if not _alike(_facts(paths), expected):
            told["unequal"].append(f"{paths.name} ({executor})")
    return told


def _write(folder: Path) -> Path:
    spec = write_search(folder, _TRIALS, "random", 2)
    document = yaml.safe_load(spec.read_text())
    document["fit"]["epochs"] = _EPOCHS
    spec.write_text(yaml.safe_dump(document))
    return spec


def _disturbed(spec: Path, paths: RunPaths, executor: str, rng: random.Random, told: dict[str, Any]) -> None:
    """A search whose processes are killed, and that is then carried to its end."""
    for _ in range(rng.randint(1, _KILLS)):
        process = subprocess.Popen(
            _command(spec, paths.root, paths.name, executor), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(*_PATIENCE_S))
        workers = _workers(process.pid)
        if workers and rng.random() < 0.5:
            with suppress(psutil.Error):
                rng.choice(workers).kill()
                told["kills_of_workers"] += 1
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(*_PATIENCE_S))
        if process.poll() is None:
            told["kills_of_drivers"] += 1
        _kill_all(process)
    _finished(_command(spec, paths.root, paths.name, executor), 900.0)


def _command(spec: Path, results: Path, name: str, executor: str) -> list[str]:
    begun = RunPaths(results, name).exists()
    verb = ["resume", name] if begun else ["run", str(spec), "--name", name]
    options = ["--results", str(results), "--executor", executor, "--no-dashboard"]
    return [sys.executable, "-m", "spectral_search", *verb, *options]


def _finished(command: list[str], seconds: float) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _workers(pid: int) -> list[psutil.Process]:
    """Processes of trials and passes that a driver has started."""
    with suppress(psutil.Error):
        children = psutil.Process(pid).children(recursive=True)
        return [child for child in children if "ray::" in " ".join(child.cmdline())]
    return []


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    children: list[psutil.Process] = []
    with suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    for child in children:
        with suppress(psutil.Error):
            child.kill()
    process.wait()
    psutil.wait_procs(children, timeout=60)


def _facts(paths: RunPaths) -> dict[str, Any]:
    """All that two records of the search are to share."""
    record = RunRecord.load(paths)
    trials = [(trial.number, trial.state, trial.params, sorted(trial.values.items())) for trial in record.trials]
    return {"state": record.state, "trials": trials, "best": record.manifest.best}


def _alike(found: Any, expected: Any) -> bool:
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_alike(found[key], expected[key]) for key in found)
    if isinstance(found, list | tuple) and isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(_alike(*pair) for pair in zip(found, expected, strict=True))
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(found == expected)


def main() -> None:
    """Print one JSON line; exit code 1 where a search ended otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    with tempfile.TemporaryDirectory() as folder:
        told = soak(Path(folder), parser.parse_args().minutes)
    print(json.dumps({**told, "cores": os.cpu_count()}))
    sys.exit(bool(told["unequal"]))


if __name__ == "__main__":
    main()
