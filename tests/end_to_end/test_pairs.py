"""Pairs of images from a search to predictions: reported, exported and used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command_line import call
from small_pairs import pair_arrays, write_folders

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

OMNIGLOT = Path(__file__).parents[3] / "shared/data/omniglot_background_small1.zip"
SPEC: dict[str, Any] = {
    "task": "pairs",
    "data": {"num_train": 800, "num_val": 300, "num_test": 300},
    "model": {"kind": "siamese_cnn", "layers": [1, 1], "width": 8, "feat_dim": 32, "head": [32]},
    "fit": {
        **{"epochs": 6, "batch_size": 32, "lr": 3e-3, "loss": "bce", "weight_decay": 5e-4, "schedule": "plateau"},
        "augment": [{"kind": "affine", "images": 2}],
    },
    "space": {
        "fit.lr": {"log_uniform": [1e-3, 1e-2]},
        "model.fusion": {"choice": ["symmetric", "difference", "gated"]},
    },
    "search": {"trials": 3, "sampler": "random", "pruner": "halving", "min_epochs": 2, "reduction_factor": 2},
    "resources": {"gpus": []},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, and a search on digits in one process."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "small.yaml").write_text(json.dumps(SPEC))
    told = call("run", folder / "small.yaml", "--name", "whole", *options(folder), "--json", folder=folder).require()
    (folder / "whole.json").write_text(told.stdout)
    return folder


def options(place: Path) -> list[Any]:
    return ["--results", place / "results", "--executor", "inline", "--no-dashboard"]


def record(place: Path, name: str = "whole") -> RunRecord:
    return RunRecord.load(RunPaths(place / "results", name))


def numbers(found: RunRecord) -> list[tuple[object, ...]]:
    return [(t.params, t.state, [row["val_accuracy"] for row in t.epochs]) for t in found.trials]


def own(place: Path, *words: Any) -> str:
    """What a command says with --json."""
    return call(*words, "--results", place / "results", "--json", folder=place).require().stdout


@pytest.mark.slow
def test_a_search_learns_and_says_so(place: Path) -> None:
    told, found = json.loads((place / "whole.json").read_text()), record(place)
    assert found.best is not None and found.test is not None
    assert told["best"]["val_accuracy"] == found.best.best_value > 0.7
    assert told["retest"]["low"] < told["retest"]["accuracy"] < told["retest"]["high"]
    assert found.test["auc"] > 0.75 and found.test["pairs"] == 300


@pytest.mark.slow
def test_what_was_exported_gives_the_numbers_again(place: Path) -> None:
    found = record(place)
    assert found.best is not None and found.test is not None
    val = json.loads(own(place, "evaluate", "whole", "--data", "digits", "--part", "val"))
    assert (val["accuracy"], val["pairs"]) == (found.best.best_value, 300)
    test = json.loads(own(place, "evaluate", "whole", "--data", "digits"))
    assert all(test[name] == pytest.approx(found.test[name], rel=1e-9) for name in ("accuracy", "auc", "log_loss"))


@pytest.mark.slow
def test_predictions_are_of_labelled_and_unlabelled_pairs(place: Path) -> None:
    call("export", "whole", "-o", "best.yaml", "--results", place / "results", folder=place).require()
    call("predict", "best.yaml", "digits", "-o", "test.csv", folder=place).require()
    table, found = pd.read_csv(place / "test.csv"), record(place)
    assert found.test is not None
    assert ((table["logit"] > 0) == (table["same"] > 0.5)).mean() == pytest.approx(found.test["accuracy"])
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp(-table["logit"])), rtol=1e-5)
    arrays = pair_arrays(20)
    np.savez(place / "unknown.npz", xa=arrays["xa"], xb=arrays["xb"])
    said = call("predict", "best.yaml", "unknown.npz", "-o", "unknown.parquet", folder=place).require()
    assert "20 pairs" in said.stdout
    unknown = pd.read_parquet(place / "unknown.parquet")
    assert len(unknown) == 20 and unknown["same"].isna().all() and unknown["same_predicted"].isin([0, 1]).all()


@pytest.mark.slow
def test_a_report_shows_pairs_and_baselines(place: Path) -> None:
    baselines = json.loads(own(place, "baselines", "--like", "whole"))
    assert set(baselines) == {"pixel_distance", "logistic_regression", "lightgbm"}
    assert all(entry["test_accuracy"] > 0.6 for entry in baselines.values())
    call("report", "whole", "-o", "page.html", "--results", place / "results", folder=place).require()
    page = (place / "page.html").read_text()
    assert "data:image/png;base64," in page and "said to be different" in page
    assert "LightGBM" in page and "logistic regression" in page and "pairs that are the same" in page
    assert not any(word in page for word in ("log g", "spectra ", "dex"))


@pytest.mark.slow
def test_another_stage_takes_over_what_was_found(place: Path) -> None:
    other = {**SPEC, "data": {**SPEC["data"], "num_train": 400}, "inherit": {"from": "small", "keys": ["fit.lr"]}}
    (place / "next.yaml").write_text(json.dumps({**other, "space": {"model.dropout": {"uniform": [0.0, 0.5]}}}))
    told = " ".join(call("run", "next.yaml", "--dry-run", *options(place), folder=place).require().stdout.split())
    best = record(place).best
    assert best is not None and f"fit.lr={best.params['fit.lr']:.6g}"[:12] in told and "taken from trial" in told
    assert "had another setting (num_train 800 there and 400 here)" in told


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda root: np.savez(root / "p.npz", **{**pair_arrays(20), "y": np.arange(20)}), "must be 1 where both"),
        (lambda root: write_folders(root, 1), "holds one class"),
        (lambda root: (write_folders(root) / "drawn0/shape00/bad.png").write_bytes(b"no"), "cannot be read"),
    ],
)
def test_wrong_data_are_refused_in_a_sentence(tmp_path: Path, make: Any, told: str) -> None:
    (tmp_path / "data").mkdir()
    make(tmp_path / "data")
    (tmp_path / "small.yaml").write_text(json.dumps(SPEC))
    given = tmp_path / "data" / "p.npz" if (tmp_path / "data" / "p.npz").exists() else tmp_path / "data"
    done = call("run", tmp_path / "small.yaml", "--dry-run", "--data-root", given, folder=tmp_path).require(2)
    assert told in " ".join(done.stderr.split()) and done.stderr.count("error:") == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fit": {"loss": "mse"}}, "fit.loss is mse, and pairs are the same or not: use bce or focal."),
        ({"model": {"kind": "siamese_cnn", "fusion": "differnce"}}, "did you mean difference?"),
        ({"data": {"split_by": "class", "val_fraction": 0.6, "test_fraction": 0.5}}, "leave less than a tenth"),
        ({"fit": {"loss": "bce", "augment": [{"kind": "affine", "images": 3}]}}, "2 channels are not of so many"),
        ({"data": {"images_a_class": 4}, "model": {"kind": "mlp"}}, "encode images one by one (siamese_cnn"),
        ({"data": {"images_a_class": 4}, "fit": {"loss": "bce", "augment": [{"kind": "mixup"}]}}, "exclude each other"),
    ],
)
def test_wrong_specs_are_refused_in_a_sentence(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    (tmp_path / "wrong.yaml").write_text(json.dumps({**SPEC, "space": {}, **change}))
    done = call("run", tmp_path / "wrong.yaml", "--dry-run", folder=tmp_path).require(2)
    assert told in " ".join(done.stderr.split()), done.stderr


@pytest.mark.skipif(not OMNIGLOT.exists(), reason="Omniglot does not lie beside the checkout")
def test_omniglot_is_planned_with_unseen_characters(tmp_path: Path) -> None:
    told = call("run", "pairs_drawings", "--data-root", OMNIGLOT, "--dry-run", folder=tmp_path).require().stdout
    assert "2,720 images of 136 classes, as 28 x 28 pixels" in " ".join(told.split())
