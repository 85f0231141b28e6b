"""Traffic from a simulated network to forecasts: searched, reported, exported, evaluated, used."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import call

from spectral_search import service
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

SPEC = {
    "task": "traffic",
    "data": {"input": {"time": "day"}},
    "model": {"kind": "shared_mlp", "hidden": [16], "anchor": True},
    "fit": {"epochs": 4, "batch_size": 64, "loss": "l1"},
    "space": {"fit.lr": {"log_uniform": [5e-4, 3e-3]}, "model.dropout": {"uniform": [0.0, 0.2]}},
    "search": {"trials": 4, "sampler": "random", "min_epochs": 2, "finalists": 2, "retest_seeds": 1},
    "resources": {"gpus": []},
    "gate": {"go_on": 100.0, "next": "traffic_stage2"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a week of two roads, and a search on it in this process."""
    folder = tmp_path_factory.mktemp("traffic")
    call("simulate", "roads.npz", "--task", "traffic", "--days", 4, "--roads", 2, folder=folder).require()
    (folder / "roads.yaml").write_text(json.dumps({**SPEC, "stage": "roads"}))
    call("run", "roads.yaml", *options(folder, "whole", "inline"), "--data-root", "roads.npz", folder=folder).require()
    return folder


def options(place: Path, name: str, executor: str) -> tuple[object, ...]:
    return ("--name", name, "--executor", executor, "--no-dashboard", "--results", place / "results")


def record(place: Path, name: str = "whole") -> RunRecord:
    return RunRecord.load(RunPaths(place / "results", name))


def numbers(run: RunRecord) -> list[tuple[object, ...]]:
    return [(t.params, t.state, [row["val_mae"] for row in t.epochs]) for t in run.trials]


def test_the_numbers_come_out_again(place: Path) -> None:
    run, results = record(place), str(place / "results")
    best = run.best
    assert best is not None and run.test is not None and run.state == "finished"
    val = service.evaluate("whole", str(place / "roads.npz"), "val", results)
    assert val["mae"] == pytest.approx(best.best_value, rel=1e-6)
    test = service.evaluate("whole", str(place / "roads.npz"), "auto", results)
    assert {key: test[key] for key in ("mae", "mae_15", "rmse_60")} == pytest.approx(
        {key: run.test[key] for key in ("mae", "mae_15", "rmse_60")}, rel=1e-6
    )
    retest = run.manifest.retest
    assert retest is not None and retest["low"] < retest["mae"] == pytest.approx(best.best_value, rel=1e-6)


def test_the_json_document_has_the_gate(place: Path) -> None:
    document = json.loads(
        call("status", "whole", "--json", "--results", place / "results", folder=place).require().stdout
    )
    assert document["best"]["val_mae"] > 0.0
    assert document["gate"]["answer"] == "go_on" and "spectral-search run traffic_stage2" in document["gate"]["text"]


def test_an_export_foretells_every_window_sensor_and_step(place: Path) -> None:
    call("export", "whole", "-o", "best.yaml", "--results", place / "results", folder=place).require()
    call("predict", "best.yaml", "roads.npz", "-o", "hours.csv", folder=place).require()
    table, run = pd.read_csv(place / "hours.csv"), record(place)
    assert run.test is not None
    assert len(table) == run.test["windows"] * 6 * 12
    missed = (table["reading"] - table["reading_predicted"]).abs()
    assert missed.mean() == pytest.approx(run.test["mae"], rel=1e-4)
    assert missed[table["minutes_ahead"] == 60].mean() == pytest.approx(run.test["mae_60"], rel=1e-4)


@pytest.mark.slow
def test_its_report_shows_forecasts_beside_baselines(place: Path) -> None:
    asked = ("--like", "whole", "--json", "--results", place / "results")
    document = json.loads(call("baselines", *asked, folder=place).require().stdout)
    assert set(document) == {"last_value", "time_of_day", "ridge"}
    assert document["ridge"]["test_mae"] < document["time_of_day"]["test_mae"]
    call("report", "whole", "-o", "page.html", "--results", place / "results", folder=place).require()
    page = (place / "page.html").read_text()
    for words in (
        "A day of some sensors",
        "Error by how far ahead",
        "Error by sensor and time of day",
        "Ridge",
        "gate: ",
    ):
        assert words in page
    assert not any(word in page for word in ("R²", "log g", "spectra ", "dex"))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"task": "trafic"}, "There is no task 'trafic'. Did you mean traffic?"),
        ({"model": {"kind": "mlp"}}, "model.kind mlp gives one number an example, and here 72 are to be predicted"),
        ({"fit": {"target": "ridge_residual"}}, "fit.target ridge_residual is for one number an example"),
        ({"data": {"start": "soon"}}, "'soon' is no time"),
        ({"gate": {"metric": "val_r2", "go_on": 1.0}}, "gate.metric must be one of val_mae"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(place: Path, keys: dict[str, object], told: str) -> None:
    (place / "wrong.yaml").write_text(json.dumps({**SPEC, **keys}))
    done = call("run", "wrong.yaml", "--dry-run", "--data-root", "roads.npz", folder=place).require(2)
    assert told in " ".join(done.stderr.split()), done.stderr


def test_other_readings_are_not_gone_on_with(place: Path, tmp_path: Path) -> None:
    with np.load(place / "roads.npz") as held:
        arrays = dict(held)
    arrays["values"][3, 0] += 1.0
    np.savez(tmp_path / "roads.npz", **arrays)
    asked = ("resume", "whole", "--trials", 5, "--results", place / "results", "--data-root", tmp_path / "roads.npz")
    assert "train changed since run whole began" in call(*asked, folder=place).require(2).stderr
