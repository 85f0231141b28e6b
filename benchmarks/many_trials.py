"""What a trial costs beside its training, and whether the last costs more than the first: many short trials.

A search of one epoch a trial on a few hundred rows, so that nearly all of its time is the search's own: proposing,
recording, checkpoints, the listener, and on Ray the way to a process and back. Counted are CPU seconds and memory of
this process, how long `status` and the live page take meanwhile, and what the command `status` takes on the run as it
is at the end. What grows with the square of the number of trials shows as a later fifth of the trials that costs more
than an earlier one.

    python -m benchmarks.many_trials --trials 500 --executor shared
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from rich.console import Console

from benchmarks.answers_meanwhile import AnswersMeanwhile
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.run.study import Study

_TASK = Path(__file__).parents[1] / "tests" / "tiny_task.py"
_PARTS = 5
"""Of the trials, in the order of their numbers."""


def write_search(folder: Path, trials: int, sampler: str, concurrent: int) -> Path:
    """Rows of three numbers and a search of so many one-epoch trials on them; its spec."""
    rng, arrays = np.random.default_rng(0), {}
    for part, count in (("train", 128), ("val", 64), ("test", 64)):
        arrays[f"x_{part}"] = rng.normal(size=(count, 3))
        arrays[f"y_{part}"] = 100 + 20 * arrays[f"x_{part}"].sum(1)
    np.savez(folder / "rows.npz", allow_pickle=False, **arrays)
    spec: dict[str, Any] = {
        "task": str(_TASK),
        "stage": "many",
        "data": {"root": str(folder / "rows.npz")},
        "model": {"kind": "mlp", "hidden": [4]},
        "fit": {"epochs": 1, "batch_size": 128, "precision": "float32"},
        "space": {"fit.lr": {"log_uniform": [1e-4, 1e-1]}, "fit.weight_decay": {"log_uniform": [1e-6, 1e-2]}},
        "search": {"trials": trials, "sampler": sampler, "pruner": "none", "finalists": 1, "retest_seeds": 1},
        "resources": {"gpus": [], "concurrent": concurrent},
    }
    (folder / "many.yaml").write_text(yaml.safe_dump(spec))
    return folder / "many.yaml"


def measured(folder: Path, trials: int, executor: str, sampler: str = "random", concurrent: int = 4) -> dict[str, Any]:
    """Carry out the search; what it cost.

    Args:
        folder: An empty one.
        trials: How many.
        executor: As of `run`.
        sampler: Who proposes them.
        concurrent: Trials at a time.
    """
    from spectral_search import service

    spec, process = write_search(folder, trials, sampler, concurrent), psutil.Process()
    marks: list[tuple[float, float, int]] = []
    sound = Study._new_trial

    def marking(self: Study) -> Any:
        marks.append((time.monotonic(), time.process_time(), process.memory_info().rss))
        return sound(self)

    shown, options = service.Shown(Console(file=io.StringIO())), {"name": "many", "results": str(folder / "results")}
    began = time.monotonic()
    Study._new_trial = marking  # type: ignore[method-assign]
    try:
        wanted = service.RunOptions(**options, executor=executor, dashboard=False)
        with AnswersMeanwhile(folder / "results", "many") as answers:
            service.run(service.plan(str(spec), wanted, shown, dry_run=False), "many", wanted, shown)
    finally:
        Study._new_trial = sound  # type: ignore[method-assign]
    record = RunRecord.load(RunPaths(folder / "results", "many"))
    clock, spent, memory = zip(*marks, strict=True)
    return {
        "executor": executor,
        "sampler": sampler,
        "trials": len(record.trials),
        "lost": trials - record.count("complete"),
        "driver_cpu_ms_a_trial_by_fifths": _by_fifths(spent),
        "wall_ms_a_trial_by_fifths": _by_fifths(clock),
        "seconds": round(time.monotonic() - began, 1),
        "driver_growth_mb": round((memory[-1] - memory[len(memory) // _PARTS]) / 1e6, 1),
        "answers": answers.found,
        "status_cpu_s": round(_status_seconds(folder / "results"), 2),
        "cores": os.cpu_count(),
    }


def _by_fifths(seconds: Sequence[float]) -> list[float]:
    """Milliseconds from one new trial to the next, on average over each fifth of them."""
    each = len(seconds) // _PARTS
    ends = [(seconds[part * each], seconds[(part + 1) * each - 1]) for part in range(_PARTS)]
    return [round(1e3 * (last - first) / (each - 1), 1) for first, last in ends]


def _status_seconds(results: Path) -> float:
    """CPU seconds of `status` on the run, in a process of its own, its start included."""
    before = _children_seconds()
    command = [sys.executable, "-m", "spectral_search", "status", "many", "--results", str(results), "--json"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return _children_seconds() - before


def _children_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--executor", default="inline", choices=("inline", "shared", "separate"))
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--concurrent", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(folder), asked.trials, asked.executor, asked.sampler, asked.concurrent)))


if __name__ == "__main__":
    main()
