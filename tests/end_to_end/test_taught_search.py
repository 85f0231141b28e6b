"""A search with many techniques that learns from the winner of another: killed, resumed, kept to its teacher."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from processes import Running

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

TASK = Path(__file__).parents[1] / "tiny_task.py"
TEACHER: dict[str, Any] = {
    "task": str(TASK),
    "model": {"kind": "mlp", "hidden": [32, 16]},
    "fit": {"epochs": 6, "batch_size": 64, "lr": 3e-3, "precision": "float32"},
    "search": {"trials": 1, "finalists": 1, "retest_seeds": 1},
    "resources": {"gpus": []},
}
STUDENT: dict[str, Any] = {
    **TEACHER,
    "model": {"kind": "mlp", "hidden": [8]},
    "fit": {
        **TEACHER["fit"],
        **{"epochs": 8, "accumulate": 2, "weight_average": "swa", "average_share": 0.5},
        **{"schedule": "warm_restarts", "restart_epochs": 2, "distill": {"model": "teacher"}},
        "augment": [{"kind": "noise", "sigma": 0.05}, {"kind": "shift"}, {"kind": "mixup"}, {"kind": "cutmix"}],
    },
    "space": {"fit.distill.weight": {"uniform": [0.0, 1.0]}, "fit.augment.0.sigma": {"log_uniform": [0.01, 0.1]}},
    "search": {"trials": 3, "sampler": "random", "pruner": "none", "finalists": 1, "retest_seeds": 1},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cars, a teacher and a search that learns from it."""
    folder, rng = tmp_path_factory.mktemp("taught"), np.random.default_rng(0)
    x_NF = rng.normal(size=(600, 8))
    y_N = 100.0 + 20.0 * np.tanh(x_NF.sum(1))
    parts = {"train": slice(0, 400), "val": slice(400, 500), "test": slice(500, 600)}
    arrays = {
        f"{name}_{part}": whole[rows] for part, rows in parts.items() for name, whole in (("x", x_NF), ("y", y_N))
    }
    np.savez(folder / "cars.npz", **arrays)
    for name, document in (("teacher", TEACHER), ("student", STUDENT)):
        document = {**document, "data": {"root": str(folder / "cars.npz")}}
        (folder / f"{name}.yaml").write_text(json.dumps(document))
        call("run", folder / f"{name}.yaml", "--name", name, *options(folder), folder=folder).require()
    return folder


def options(place: Path) -> tuple[object, ...]:
    return "--executor", "inline", "--no-dashboard", "--results", place / "results"


def losses(place: Path, name: str) -> list[list[float]]:
    record = RunRecord.load(RunPaths(place / "results", name))
    return [[row["train_loss"] for row in trial.epochs] for trial in record.trials]


def test_the_record_holds_which_teacher_it_was(place: Path) -> None:
    distill = RunRecord.load(RunPaths(place / "results", "student")).spec["fit"]["distill"]
    assert distill["model"] == str(place / "results" / "teacher" / "best") and len(distill["sha256"]) == 64
    assert all(len(epochs) == 8 for epochs in losses(place, "student"))


def test_a_plan_tells_a_teacher_that_is_none_without_beginning(place: Path) -> None:
    asked = ("run", place / "student.yaml", "--dry-run", "--set", "fit.distill.model=nobody", *options(place))
    assert "fit.distill.model: nobody is neither" in " ".join(call(*asked, folder=place).require(2).stderr.split())
    asked = ("run", place / "student.yaml", "--dry-run", "--json", *options(place))
    assert call(*asked, folder=place).require().json()["spec"]["fit"]["distill"]["sha256"]


@pytest.mark.slow
def test_a_kill_loses_nothing(place: Path, tmp_path: Path) -> None:
    paths = RunPaths(place / "results", "killed")
    # From the folder's own place: the process does not stand in it, and a run's name needs its results.
    running = Running("run", place / "student.yaml", "--name", paths.name, *options(place), log=tmp_path / "log")
    assert running.wait_for(lambda: _epochs(paths) >= 3), (tmp_path / "log").read_text()
    running.kill()
    call("resume", paths.name, *options(place), folder=place).require()
    assert losses(place, "killed") == losses(place, "student")


def test_it_is_not_gone_on_with_under_another_teacher(place: Path) -> None:
    weights = place / "results" / "teacher" / "best" / "model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-4] + b"\x00\x00\x00\x00")
    try:
        done = call("resume", "student", "--trials", 4, *options(place), folder=place).require(2)
    finally:
        weights.write_bytes(before)
    assert "is not the model that this began with" in " ".join(done.stderr.split())


def _epochs(paths: RunPaths) -> int:
    return sum(len(file.read_text().splitlines()) for file in paths.trials_dir.glob("*/progress.jsonl"))
