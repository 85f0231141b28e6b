"""A search of a few seconds that stops some trials early, and what must be equal between two records of it."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import yaml

from spectral_search.record.durable import read_lines
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.run.executor_choice import Executor
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.simulator.simulate import simulate

ON_RAY = tuple(name for name in get_args(Executor) if name != "inline")
"""Executors that train in processes of Ray; the first is the one that a user gets."""
TOLERANCE = 1e-6
"""What two records of a search may differ by: a sum over other trials beside it is rounded otherwise."""
REPOSITORY = Path(__file__).parents[1]
SPEC: dict[str, Any] = {
    "stage": "small",
    "data": {"noise_level": 0.2},
    "model": {"kind": "mlp", "hidden": [16]},
    "fit": {"epochs": 9, "batch_size": 32, "patience": 6, "precision": "float32"},
    "space": {"fit.lr": {"log_uniform": [1.0e-4, 1.0e-1]}, "model.dropout": {"choice": [0.0, 0.2]}},
    "search": {
        "trials": 8,
        "startup_trials": 3,
        "min_epochs": 2,
        "reduction_factor": 2,
        "finalists": 2,
        "retest_draws": 2,
        "retest_seeds": 1,
    },
    "resources": {"gpus": [], "concurrent": 1},
}

TIMES = ("seconds", "at_unix_seconds")
"""Of an epoch's record, beside examples a second: no two searches have the same."""


def make_data(folder: Path) -> Path:
    """A data root of a few hundred spectra of 64 pixels."""
    simulate(folder, train=160, val=64, test=32, pixels=64, dtype="float32")
    return folder


def make_spec(folder: Path, data: Path, **changes: dict[str, Any]) -> RunSpec:
    """The small search with sections changed key by key, also written to folder/small.yaml."""
    document = {
        name: {**part, **changes.get(name, {})} if isinstance(part, dict) else part for name, part in SPEC.items()
    }
    document |= {name: part for name, part in changes.items() if name not in document or name in ("space", "grid")}
    document["data"] = {"root": str(data), **document["data"]}
    (folder / "small.yaml").write_text(yaml.safe_dump(document))
    return RunSpec.from_dict(document)


def command(*arguments: object) -> list[str]:
    """The command line of spectral-search in this checkout."""
    return [sys.executable, "-c", "from spectral_search.cli.main import main; main()", *map(str, arguments)]


def environment() -> dict[str, str]:
    """This process's environment with the checkout importable."""
    paths = [str(REPOSITORY), str(REPOSITORY / "tests"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}


def cli(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run spectral-search to its end."""
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True, timeout=timeout, check=False
    )


def facts(paths: RunPaths) -> dict[str, Any]:
    """All that two records of the same search share: everything but times, places and versions.

    Checks on the way that every trial's epochs are there once each and in order, in the study and in its progress file.
    """
    record = RunRecord.load(paths)
    trials = []
    for trial in record.trials:
        files = paths.trial(trial.number)
        lines = read_lines(files.progress_jsonl).records
        assert [line["epoch"] for line in lines] == list(range(1, trial.last_epoch + 1)), (trial.number, lines)
        epochs = [{k: v for k, v in line.items() if not k.endswith(("_per_second", *TIMES))} for line in lines]
        weights = _sums(files.best_safetensors) if trial.state in ("complete", "stopped") else None
        trials.append(
            {"number": trial.number, "state": trial.state, "params": trial.params, "epochs": epochs, "best": weights}
        )
    manifest = record.manifest
    return {
        "state": record.state,
        "trials": trials,
        "best": manifest.best,
        "retest": manifest.retest,
        "test": manifest.test,
    }


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """Where two records differ by more than rounding; empty for records of the same search."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        pairs = [(f"{where}.{key}", found[key], expected[key]) for key in found]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = [
            (f"{where}[{index}]", one, other) for index, (one, other) in enumerate(zip(found, expected, strict=True))
        ]
    elif isinstance(found, float) and isinstance(expected, float):
        same = math.isclose(found, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        return [] if same else [f"{where}: {found} instead of {expected}"]
    else:
        return [] if found == expected else [f"{where}: {found} instead of {expected}"]
    return [told for place, one, other in pairs for told in differences(one, other, place)]


def _sums(weights: Path) -> dict[str, list[float]]:
    from safetensors.numpy import load_file

    return {name: [float(value.sum()), float((value**2).sum())] for name, value in load_file(weights).items()}
