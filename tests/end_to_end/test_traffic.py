"""Traffic from a simulated network to forecasts: searched, killed, resumed, reported, exported, evaluated, used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import call
from processes import Running

from spectral_search import service
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.spec.name_registry import AUGMENTATIONS, LOSSES, SCHEDULES, WEIGHT_AVERAGES

SPEC: dict[str, Any] = {
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


OF_IMAGES = {"affine"}
OF_CLASSES = {"bce", "focal"}


def every_technique() -> dict[str, object]:
    """A search whose grid has a point for each technique that means something to readings, but for those of classes."""
    augmentations = [[{"kind": kind}] for kind in AUGMENTATIONS.names if kind not in OF_IMAGES]
    small = {f"{over}_depth_{stage}": 1 for over in ("temporal", "spatial") for stage in (1, 2)}
    return {
        **SPEC,
        "data": {**SPEC["data"], "num_train": 96, "num_val": 48, "windows_per_epoch": 64},
        "model": {"kind": "space_time_attention", "embed_dim": 8, "heads": 2, **small, "stochastic_depth": 0.1},
        "fit": {
            **{"epochs": 3, "batch_size": 16, "schedule": "one_cycle", "one_cycle_momentum": True, "loss": "l1"},
            **{"restart_epochs": 1, "step_epochs": 1, "plateau_patience": 1, "average_share": 0.7},
            "groups": [{"match": "encoder.*", "lr_factor": 0.3}],
            "distill": {"model": "whole", "weight": 0.0},
        },
        "space": {"fit.lr": {"log_uniform": [5e-4, 3e-3]}},
        "grid": [
            {"fit.schedule": list(SCHEDULES.names)},
            {"fit.weight_average": list(WEIGHT_AVERAGES.names)},
            {"fit.augment": [*augmentations, [item for items in augmentations for item in items]]},
            {"fit.loss": [name for name in LOSSES.names if name not in OF_CLASSES]},
            {"fit.accumulate": [2], "model.dropout": [0.2], "model.attention_dropout": [0.1]},
            {"fit.distill.weight": [0.5]},
        ],
        "search": {"trials": 100, "sampler": "grid", "pruner": "none", "finalists": 1, "retest_seeds": 1},
        "gate": None,
    }


@pytest.mark.slow
def test_a_search_over_every_technique_goes_on_after_a_kill(place: Path, tmp_path: Path) -> None:
    (place / "all.yaml").write_text(json.dumps({**every_technique(), "stage": "all"}))
    asked = ("run", place / "all.yaml", "--data-root", place / "roads.npz")
    call(*asked, *options(place, "all", "inline"), folder=place).require()
    whole = record(place, "all")
    assert whole.state == "finished" and {trial.state for trial in whole.trials} == {"complete"}
    curves = [tuple(row["val_mae"] for row in trial.epochs) for trial in whole.trials]
    # Techniques that are in force change numbers: only the points that repeat the spec's own values are alike.
    own = 1 + sum(name in ("one_cycle", "none", "l1") for name in (*SCHEDULES.names, *WEIGHT_AVERAGES.names, "l1"))
    assert len(set(curves)) > len(curves) - own
    running = Running(*asked, *options(place, "all-killed", "inline"), log=tmp_path / "log")
    paths = RunPaths(place / "results", "all-killed")

    def epochs() -> int:
        return sum(file.read_text().count("\n") for file in paths.folder.glob("trials/*/progress.jsonl"))

    assert running.wait_for(lambda: epochs() >= 2 * len(curves)), (tmp_path / "log").read_text()
    running.kill()
    call(
        "resume", "all-killed", "--executor", "inline", "--no-dashboard", "--results", place / "results", folder=place
    ).require()
    assert numbers(record(place, "all-killed")) == numbers(whole)


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
