"""Out again: what a run found is exported, evaluated, predicted with, run and retrained."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from astropy.table import Table
from command_line import Done, call, write_spec
from learnable_root import write_root
from rich.console import Console

from spectral_search import service
from spectral_search.tasks.spectra.scores import r2

pytestmark = pytest.mark.slow

SEARCH = """
model: {kind: mlp, hidden: [16], dropout: 0.1}
fit: {epochs: 5, batch_size: 64}
space:
  fit.lr: {log_uniform: [1e-4, 3e-2]}
  data.input.kind: {choice: [standardize, whiten]}
search: {trials: 4, min_epochs: 1, startup_trials: 2, finalists: 2, retest_draws: 2, retest_seeds: 1}
resources: {gpus: []}
"""
INLINE = ["--executor", "inline", "--json"]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(True, id="recorded noise"),
        pytest.param(False, id="drawn noise, no val set"),
    ],
)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a finished run of it, whose winner is exported to out/best.yaml."""
    folder = tmp_path_factory.mktemp("export")
    write_root(folder / "data", pixels=64, with_noisy=request.param, val=256 if request.param else 0)
    write_spec(folder / "search.yaml", SEARCH)
    call("run", "search.yaml", "--name", "found", "--data-root", "data", *INLINE, folder=folder).require()
    done = call("export", "found", "-o", "out/best.yaml", "--top", "3", "--json", folder=folder).require()
    assert done.json()["files"] == ["out/best.yaml", "out/best-2.yaml", "out/best-3.yaml"]
    return folder


def status(place: Path, name: str = "found") -> dict[str, object]:
    found: dict[str, object] = call("status", name, "--json", folder=place).require().json()
    return found


@pytest.mark.parametrize("model", ["out/best.yaml", "found", "ray_results/found/best"])
def test_evaluating_gives_the_leaderboards_number(place: Path, model: str) -> None:
    found = call("evaluate", model, "--data", "data", "--part", "val", "--json", folder=place).require().json()
    assert {"r2", "mae_dex", "rmse_dex", "spectra"} <= set(found)
    assert found["r2"] == pytest.approx(status(place)["best"]["val_r2"], abs=1e-6)


def test_every_exported_rank_gives_its_own_number(place: Path) -> None:
    values = []
    for name in ("best", "best-2", "best-3"):
        metrics = json.loads((place / "out" / f"{name}.metrics.json").read_text())
        arguments = ["evaluate", f"out/{name}.yaml", "--data", "data", "--part", "val", "--json"]
        assert call(*arguments, folder=place).require().json()["r2"] == pytest.approx(metrics["val_r2"], abs=1e-6)
        values.append(metrics["val_r2"])
    assert values == sorted(values, reverse=True)


def read_table(path: Path) -> pd.DataFrame:
    """A table of predictions in any of its formats."""
    if path.suffix == ".csv":
        return pd.read_csv(path)
    return pd.read_parquet(path) if path.suffix == ".parquet" else Table.read(path).to_pandas()


@pytest.mark.parametrize("ending", ["csv", "parquet", "fits", "ecsv"])
def test_predictions_score_what_evaluate_says(place: Path, ending: str) -> None:
    told = call("predict", "found", "data", "-o", f"table.{ending}", "--json", folder=place).require().json()
    table = read_table(place / f"table.{ending}")
    assert len(table) == told["spectra"] == 128
    scores = call("evaluate", "found", "--data", "data", "--json", folder=place).require().json()
    assert scores["part"] == "test"
    assert r2(table["log_g_predicted"].to_numpy(), table["log_g"].to_numpy()) == pytest.approx(scores["r2"], abs=1e-6)
    lone = call("evaluate", "found", "--data", "data/test_0/dataset.h5", "--json", folder=place).require().json()
    assert lone["r2"] == scores["r2"]


def test_tables_for_astronomers_say_where_they_come_from(place: Path) -> None:
    noise = call("predict", "found", "data", "-o", "told.ecsv", "--json", folder=place).require().json()["noise"]
    call("predict", "found", "data", "-o", "told.fits", folder=place).require()
    told, cards = Table.read(place / "told.ecsv").meta, Table.read(place / "told.fits").meta
    known = yaml.safe_load((place / "out" / "best.yaml").read_text())["provenance"]
    assert {key: told[key] for key in ("run", "trial", "epoch")} == {
        key: known[key] for key in ("run", "trial", "epoch")
    }
    assert told["weights_sha256"] == known["sha256"]["model"]
    assert (told["model"], told["data"], told["noise"]) == ("found", "data", noise)
    assert told["shards"] == ["test_0/dataset.h5"]
    assert told["trained_on"] == cards["TRAINKEY"]
    assert (cards["RUN"], cards["TRIAL"], cards["MODEL"]) == ("found", known["trial"], "found")


def test_ids_that_fits_cannot_hold_are_refused(place: Path) -> None:
    import h5py

    folder = place / "named" / "test_0"
    folder.mkdir(parents=True)
    shutil.copy(place / "data" / "test_0" / "dataset.h5", folder / "dataset.h5")
    with h5py.File(folder / "dataset.h5", "a") as file:
        del file["dataset/params"]
        file["dataset/params/id"] = [f"étoile {row}".encode() for row in range(128)]
    done = call("predict", "found", "named", "-o", "named.fits", folder=place).require(2)
    assert "étoile 0" in done.stderr
    assert not (place / "named.fits").exists()
    call("predict", "found", "named", "-o", "named.ecsv", folder=place).require()
    assert Table.read(place / "named.ecsv")["id"][127] == "étoile 127"


def test_spectra_without_labels_are_predicted(place: Path) -> None:
    import h5py

    folder = place / "unlabelled" / "test_0"
    folder.mkdir(parents=True)
    shutil.copy(place / "data" / "test_0" / "dataset.h5", folder / "dataset.h5")
    with h5py.File(folder / "dataset.h5", "a") as file:
        del file["dataset/params"]
    call("predict", "found", "unlabelled", "-o", "blind.csv", folder=place).require()
    call("predict", "found", "data", "-o", "seen.csv", folder=place).require()
    blind, seen = pd.read_csv(place / "blind.csv"), pd.read_csv(place / "seen.csv")
    assert np.array_equal(blind["log_g_predicted"], seen["log_g_predicted"])
    refused = call("evaluate", "found", "--data", "unlabelled", folder=place).require(2)
    assert "dataset/params is missing" in refused.stderr


def test_an_exported_config_runs_as_one_trial(place: Path) -> None:
    done = call("run", "out/best.yaml", "--name", "once", *INLINE, folder=place).require().json()
    assert done["trials"] == {"complete": 1, "stopped": 0, "failed": 0}
    assert done["best"]["params"] == {}


def test_training_with_several_seeds(place: Path) -> None:
    options = ["--seeds", "2", "--num-train", "300", "--name", "trained", *INLINE]
    done = call("train", "out/best.yaml", *options, folder=place).require().json()
    assert done["trials"] == {"complete": 2, "stopped": 0, "failed": 0}
    assert done["best"]["params"]["fit.seed"] in (42, 43)
    arguments = ["evaluate", "trained", "--data", "data", "--part", "val", "--json"]
    assert call(*arguments, folder=place).require().json()["r2"] == pytest.approx(done["best"]["val_r2"], abs=1e-6)
    spec = yaml.safe_load((place / "ray_results" / "trained" / "spec.yaml").read_text())
    assert spec["data"]["num_train"] == 300
    assert spec["search"]["pruner"] == "none"


def test_a_moved_run_exports_the_same_model(place: Path) -> None:
    shutil.copytree(place / "ray_results" / "found", place / "elsewhere" / "moved")
    options = ["--results", "elsewhere"]
    call("export", "moved", "-o", "moved.yaml", *options, folder=place).require()
    assert (place / "moved.model.safetensors").read_bytes() == (place / "out" / "best.model.safetensors").read_bytes()
    assert status(place)["best"] == call("status", "moved", "--json", *options, folder=place).require().json()["best"]


def test_best_prints_a_config_that_run_accepts(place: Path) -> None:
    text = call("best", "found", folder=place).require().stdout
    config = yaml.safe_load(text)
    assert config["provenance"]["run"] == "found"
    write_spec(place / "again.yaml", text)
    assert call("run", "again.yaml", "--dry-run", "--json", folder=place).require().json()["trials"] == 1
    document = call("best", "found", "--json", folder=place).require().json()
    assert document["params"] == status(place)["best"]["params"]


def test_other_spectra_are_refused(place: Path) -> None:
    write_root(place / "wide", train=16, val=0, test=0, pixels=65)
    done = call("evaluate", "found", "--data", "wide", "--part", "train", folder=place).require(2)
    assert "64 pixels" in done.stderr
    assert "65" in done.stderr
    assert _refused(place, "export", "found", "-o", "x.yaml", "--top", "99")
    assert _refused(place, "export", "found", "-o", "x.txt")
    (place / "out" / "best-3.model.safetensors").write_bytes(b"short")
    assert _refused(place, "evaluate", "out/best-3.yaml", "--data", "data")


def _refused(place: Path, *arguments: str) -> Done:
    done = call(*arguments, folder=place).require(2)
    assert done.stderr.startswith("error: ")
    return done


def test_the_verbs_serve_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but `service` is needed to search, look, export and evaluate."""
    monkeypatch.chdir(tmp_path)
    write_root(tmp_path / "data", train=128, val=64, test=0)
    write_spec(tmp_path / "search.yaml", SEARCH)
    with open(tmp_path / "shown.txt", "w") as file:
        shown = service.Shown(Console(file=file))
        options = service.RunOptions(data_root=("data",), trials=2, epochs=2, executor="inline")
        plan = service.plan("search.yaml", options, shown)
        record = service.run(plan, service.run_name(plan.spec, options), options, shown)
    assert record.state == "finished"
    assert [run.name for run in service.all_runs()] == ["search"]
    (config,) = service.export("search", "best.yaml")
    scores = service.evaluate(str(config), "data", "val")
    assert scores["r2"] == pytest.approx(record.best.best_value, abs=1e-6)
    assert service.predict("search", "data", "table.csv")["spectra"] == 64
