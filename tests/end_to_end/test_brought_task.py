"""A task that the package does not know, from one file: searched, killed, resumed, reported, exported and used."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import call
from processes import Running
from small_cars import TASK, write_cars
from tiny_task import Cars

from spectral_search import service
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

LINES = 60
"""A task of one file is to be no longer."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cars, a spec, and a search on them in this process."""
    folder = tmp_path_factory.mktemp("cars")
    write_cars(folder / "cars.npz")
    spec = {
        "task": str(TASK),
        "data": {"root": str(folder / "cars.npz")},
        "model": {"kind": "mlp", "hidden": [32, 16]},
        "fit": {"epochs": 8, "batch_size": 64, "lr": 3e-3},
        "space": {"fit.lr": {"log_uniform": [1e-3, 3e-2]}, "model.dropout": {"uniform": [0.0, 0.3]}},
        "search": {"trials": 6, "sampler": "random", "pruner": "halving", "min_epochs": 2, "reduction_factor": 2},
        "resources": {"gpus": []},
    }
    (folder / "cars.yaml").write_text(json.dumps(spec))
    run(folder, "whole", "inline")
    return folder


def run(place: Path, name: str, executor: str) -> RunRecord:
    options = ("--name", name, "--executor", executor, "--no-dashboard", "--results", place / "results")
    call("run", place / "cars.yaml", *options, folder=place).require()
    return RunRecord.load(RunPaths(place / "results", name))


def numbers(record: RunRecord) -> list[tuple[object, ...]]:
    """Of each trial: what it was, what became of it, and its MAE after each epoch."""
    return [(t.params, t.state, [row["val_mae"] for row in t.epochs]) for t in record.trials]


def whole(place: Path) -> RunRecord:
    return RunRecord.load(RunPaths(place / "results", "whole"))


def test_the_file_is_short() -> None:
    assert len(TASK.read_text().splitlines()) <= LINES


def test_the_lowest_error_wins(place: Path) -> None:
    record = whole(place)
    best = record.best
    assert best is not None and record.state == "finished"
    finite = [t.best_value for t in record.trials if t.best_value is not None]
    assert best.best_value == min(finite) < 0.6 * max(finite)
    assert {t.state for t in record.trials} == {"complete", "stopped"}
    by_rung: dict[str, list[float]] = {t.state: [] for t in record.trials}
    for trial in record.trials:
        by_rung[trial.state].append(min(row["val_mae"] for row in trial.epochs[:2]))
    assert max(by_rung["complete"]) < min(by_rung["stopped"])  # at the rung the lower errors so far go on
    assert record.manifest.retest is not None
    assert record.manifest.retest["low"] < record.manifest.retest["mae"] < record.manifest.retest["high"]
    # Nothing about a car is random: it is predicted once, to what selected the winner.
    assert record.manifest.retest["mae_by_draw"] == [pytest.approx(best.best_value, rel=1e-6)]


def test_what_was_exported_gives_the_numbers_again(place: Path) -> None:
    record = whole(place)
    best, results = record.best, str(place / "results")
    assert best is not None and record.test is not None
    val = service.evaluate("whole", str(place / "cars.npz"), "val", results)
    assert (val["mae"], val["cars"]) == (pytest.approx(best.best_value, rel=1e-6), 200)
    test = service.evaluate("whole", str(place / "cars.npz"), "auto", results)
    assert (test["mae"], test["part"]) == (pytest.approx(record.test["mae"], rel=1e-12), "test")
    call("export", "whole", "-o", "best.yaml", "--results", results, folder=place).require()
    said = call("predict", "best.yaml", "cars.npz", "-o", "power.csv", folder=place).require()
    assert "200 cars" in said.stdout
    table = pd.read_csv(place / "power.csv")
    assert np.abs(table["power_predicted"] - table["power"]).mean() == pytest.approx(test["mae"], rel=1e-4)


def test_its_report_speaks_of_it(place: Path) -> None:
    said = call("report", "whole", "-o", "page.html", "--results", place / "results", folder=place).require()
    page = (place / "page.html").read_text()
    assert "test MAE" in page and " hp" in page and "page.html" in said.stdout
    assert "600 training cars" in page and "0 shards" not in page
    assert not any(word in page for word in ("R²", "log g", "spectra ", "dex"))
    shown = call("status", "whole", "--results", place / "results", folder=place).require().stdout
    assert "val MAE" in shown and "R2" not in shown
    assert "val set, the same examples: as it was selected" in " ".join(shown.split())
    plan = (
        call("run", place / "cars.yaml", "--dry-run", "--set", "search.retest_draws=4", folder=place).require().stdout
    )
    told = " ".join(plan.split())
    assert "then the best 3 on the same examples" in told and "noise" not in told
    assert "a re-test predicts them once, not search.retest_draws times" in told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda spec: spec | {"task": "cart"}, "There is no task 'cart'"),
        (lambda spec: spec | {"task": "nowhere.py"}, "nowhere.py does not exist"),
        (lambda spec: spec | {"data": {"root": "gone.npz"}}, "is no file of cars"),
        (lambda spec: spec | {"data": {"rot": "cars.npz"}}, "data.rot does not exist; did you mean data.root?"),
        (lambda spec: spec | {"data": {"root": ["a", "b"]}}, "One place of the data is needed and 2 are named"),
        (lambda spec: spec | {"data": spec["data"] | {"noise_level": 1.0}}, "data.noise_level does not exist"),
        (lambda spec: spec | {"model": {"kind": "cnn", "channels": [4] * 9, "kernel_size": 3}}, "9 layers"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(
    place: Path, change: Callable[[dict[str, object]], dict[str, object]], told: str
) -> None:
    spec = json.loads((place / "cars.yaml").read_text())
    (place / "wrong.yaml").write_text(json.dumps(change(spec)))
    done = call("run", place / "wrong.yaml", "--dry-run", folder=place).require(2)
    assert told in " ".join(done.stderr.split()), done.stderr


def test_other_cars_are_not_gone_on_with(place: Path, tmp_path: Path) -> None:
    write_cars(tmp_path / "cars.npz")
    with np.load(tmp_path / "cars.npz") as held:
        arrays = dict(held)
    arrays["y_val"][3] += 1.0
    np.savez(tmp_path / "cars.npz", **arrays)
    asked = ("resume", "whole", "--trials", 7, "--results", place / "results", "--data-root", tmp_path / "cars.npz")
    assert "val changed since run whole began" in call(*asked, folder=place).require(2).stderr


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "shared"])
def test_a_kill_loses_nothing(place: Path, tmp_path: Path, executor: str) -> None:
    paths = RunPaths(place / "results", f"killed-{executor}")
    options = ["--results", place / "results", "--executor", executor, "--no-dashboard"]
    running = Running("run", place / "cars.yaml", "--name", paths.name, *options, log=tmp_path / "log")
    assert running.wait_for(lambda: _epochs(paths) >= 4), (tmp_path / "log").read_text()
    running.kill()
    call("resume", paths.name, *options, folder=place).require()
    assert numbers(RunRecord.load(paths)) == numbers(whole(place))


@pytest.mark.slow
def test_a_process_a_trial_finds_the_same(place: Path) -> None:
    assert numbers(run(place, "separate", "separate")) == numbers(whole(place))


def _epochs(paths: RunPaths) -> int:
    return sum(file.read_text().count("\n") for file in paths.folder.glob("trials/*/progress.jsonl"))


def test_the_task_can_be_used_from_python(place: Path) -> None:
    parts = Cars().load(Cars.data_section(root=str(place / "cars.npz")))
    assert {name: len(part) for name, part in parts.items()} == {"train": 600, "val": 200, "test": 200}
