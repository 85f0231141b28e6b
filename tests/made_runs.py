"""A run folder with a real study, as a search leaves it."""

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import yaml
from optuna.trial import TrialState

from spectral_search.record.durable import append_line, write_atomic
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths

optuna.logging.set_verbosity(optuna.logging.WARNING)

SPEC: dict[str, Any] = {
    "stage": "cnn_stage1a",
    "description": "a small search",
    "data": {"num_train": 100},
    "model": {"kind": "cnn", "channels": [32, 64], "kernel_size": 7},
    "fit": {"epochs": 4},
    "space": {"fit.lr": {"log_uniform": [1.0e-4, 3.0e-2]}, "model.kernel_size": {"choice": [7, 9, 15]}},
    "grid": {"fit.lr": [1.0e-3, 3.0e-3]},
    "search": {"trials": 5},
}

# (state, params, val R2 of each epoch)
TRIALS: list[tuple[TrialState, dict[str, Any], list[float]]] = [
    (TrialState.PRUNED, {"fit.lr": 1e-4, "model.kernel_size": 7}, [0.01, 0.02]),
    (TrialState.COMPLETE, {"fit.lr": 3e-3, "model.kernel_size": 9}, [0.30, 0.52, 0.61, 0.58]),
    (TrialState.COMPLETE, {"fit.lr": 1e-3, "model.kernel_size": 15}, [0.20, 0.41, 0.50, 0.55]),
    (TrialState.FAIL, {"fit.lr": 3e-2, "model.kernel_size": 7}, [0.70, float("nan")]),
    (TrialState.RUNNING, {"fit.lr": 2e-3, "model.kernel_size": 7}, [0.33]),
]

MakeRun = Callable[..., RunPaths]


def write_trials(
    paths: RunPaths, trials: Sequence[tuple[TrialState, dict[str, Any], list[float]]], *, version_before: bool = False
) -> None:
    """Write a study and the trials' folders, as the search does it.

    Args:
        paths: The run.
        trials: What is written.
        version_before: Whether the study holds the value of every epoch too.
    """
    lr = optuna.distributions.FloatDistribution(1e-4, 3e-2, log=True)
    kernel = optuna.distributions.CategoricalDistribution([7, 9, 15])
    study = optuna.create_study(storage=paths.study_url, study_name="the-first-name", direction="maximize")
    for number, (state, params, values) in enumerate(trials):
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=max(values) if state is TrialState.COMPLETE else None,
                params=params,
                distributions={"fit.lr": lr, "model.kernel_size": kernel},
                intermediate_values=dict(enumerate(values, start=1)) if version_before else {},
                user_attrs={"params": params}
                | ({"error": "loss became NaN in epoch 2"} if state is TrialState.FAIL else {}),
            )
        )
        trial = paths.trial(number).create()
        write_atomic(trial.params_yaml, yaml.safe_dump(params))
        for epoch, value in enumerate(values, start=1):
            row = {"epoch": epoch, "val_r2": value, "val_mae_dex": 0.5 - value / 4, "val_rmse_dex": 0.6 - value / 4}
            append_line(trial.progress_jsonl, {**row, "seconds": 2.0})


@pytest.fixture(scope="session")
def written_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Return a function that gives a folder with the study and the first trials; each is written once and copied."""
    folders: dict[int, Path] = {}

    def written(count: int) -> Path:
        if count not in folders:
            paths = RunPaths(tmp_path_factory.mktemp("written"), "run").create()
            write_trials(paths, TRIALS[:count])
            folders[count] = paths.folder
        return folders[count]

    return written


@pytest.fixture
def make_run(tmp_path: Path, written_runs: Callable[[int], Path]) -> MakeRun:
    """Return a function that makes a run folder with the first so many trials and changes its manifest as told."""

    def make(name: str = "cnn_stage1a", trials: int = len(TRIALS), **changes: Any) -> RunPaths:
        paths = RunPaths(tmp_path / "results", name).create()
        write_atomic(paths.spec_yaml, yaml.safe_dump(SPEC, sort_keys=False))
        manifest: dict[str, Any] = {
            "name": name,
            "stage": "cnn_stage1a",
            "study_name": "the-first-name",
            "created_at": "2025-01-02T03:04:05+00:00",
            "pid": os.getpid(),
            "process_started": psutil.Process().create_time(),
            "hostname": socket.gethostname(),
            "planned_trials": 5,
        }
        Manifest(**{**manifest, **changes}).save(paths.manifest_json)
        if trials:
            shutil.copytree(written_runs(trials), paths.folder, dirs_exist_ok=True)
        return paths

    return make


@pytest.fixture
def finished_run(make_run: MakeRun) -> RunPaths:
    """A finished run whose winner was re-tested."""
    retest = {
        "r2": 0.603,
        "low": 0.588,
        "high": 0.617,
        "finalists": [{"trial": 2, "r2": 0.54, "low": 0.5, "high": 0.6}],
    }
    return make_run(
        trials=4,
        state="finished",
        wall_seconds=754.2,
        best={"trial": 1, "epoch": 3, "val_r2": 0.61},
        retest=retest,
        versions={"torch": "2.13.0"},
        data={"files": ["train_0"]},
    )
