"""Whole searches: one on Ray in a process of its own, as a user has it, and inline ones beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from command_line import Done, call, spawn, write_spec
from learnable_root import write_root

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow

SEARCH = """
model: {kind: mlp, hidden: [16]}
data: {noise_level: 1.0}
fit: {epochs: 6, batch_size: 64, precision: float32}
space:
  fit.lr: {log_uniform: [1e-5, 3e-2]}
  model.activation: {choice: [relu, gelu]}
search:
  {trials: 6, min_epochs: 1, reduction_factor: 2, startup_trials: 3, finalists: 2, retest_draws: 2, retest_seeds: 1}
resources: {gpus: []}
"""
OPTIONS = ["--data-root", "data", "--concurrent", "1", "--num-train", "320", "--no-dashboard"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and the spec of a small search."""
    folder = tmp_path_factory.mktemp("run")
    write_root(folder / "data", pixels=128, with_noisy=True)
    write_spec(folder / "search.yaml", SEARCH)
    return folder


@pytest.fixture(scope="module")
def on_ray(place: Path) -> Done:
    """The search on Ray, its output captured."""
    return spawn("run", "search.yaml", "--name", "ray", "--json", *OPTIONS, folder=place).require()


@pytest.fixture(scope="module")
def inline(place: Path) -> Done:
    """The same search in this process."""
    return call(
        "run", "search.yaml", "--name", "inline", "--executor", "inline", "--json", *OPTIONS, folder=place
    ).require()


def record_of(place: Path, name: str) -> RunRecord:
    return RunRecord.load(RunPaths(place / "ray_results", name))


def leaderboard(place: Path, name: str) -> list[tuple[Any, ...]]:
    """What two runs of one seed share, to the last digit."""
    return [
        (trial.number, trial.state, trial.params, [epoch["val_r2"] for epoch in trial.epochs])
        for trial in record_of(place, name).ranked()
    ]


def test_the_document_is_as_designed(on_ray: Done) -> None:
    document = on_ray.json()
    keys = ["name", "path", "state", "best", "retest", "trials", "epochs_trained", "wall_seconds"]
    assert [key for key in document if key != "collapsed"] == keys  # which is there where a trial learnt nothing
    assert document["name"] == "ray"
    assert document["state"] == "finished"
    assert list(document["best"]) == ["trial", "epoch", "val_r2", "params"]
    assert set(document["best"]["params"]) == {"fit.lr", "model.activation"}
    assert document["best"]["val_r2"] > 0.3
    assert list(document["retest"]) == ["r2", "low", "high"]
    assert document["retest"]["low"] < document["retest"]["r2"] < document["retest"]["high"]
    assert list(document["trials"]) == ["complete", "stopped", "failed"]
    assert sum(document["trials"].values()) == 6
    assert document["trials"]["complete"] >= 1
    assert document["trials"]["stopped"] >= 1
    assert 6 <= document["epochs_trained"] < 36
    assert document["wall_seconds"] > 0


def test_nothing_of_ray_or_python_leaks_to_the_terminal(on_ray: Done) -> None:
    for noise in ("Warning", "warning", "ray::", "INFO", "Traceback", "(pid", "site-packages"):
        assert noise not in on_ray.stderr
    assert "6 trials by parzen" in on_ray.stderr
    assert "new best val R2" in on_ray.stderr


def test_the_folder_is_as_designed(place: Path, on_ray: Done) -> None:
    folder = place / on_ray.json()["path"]
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert {"spec.yaml", "manifest.json", "study.db", "trials", "best"} <= there
    assert [path.name for path in sorted((folder / "trials").iterdir())] == [f"{n:04d}" for n in range(6)]
    for trial in (folder / "trials").iterdir():
        epochs = [json.loads(line)["epoch"] for line in (trial / "progress.jsonl").read_text().splitlines()]
        assert epochs == list(range(1, len(epochs) + 1))
        assert set(yaml.safe_load((trial / "params.yaml").read_text())) == {"fit.lr", "model.activation"}
        assert (trial / "checkpoint").is_dir()
    names = {path.name for path in (folder / "best").iterdir()}
    assert names == {"config.yaml", "model.safetensors", "preprocessing.safetensors", "metrics.json"}
    metrics = json.loads((folder / "best" / "metrics.json").read_text())
    assert metrics["val_r2"] == on_ray.json()["best"]["val_r2"]
    assert metrics["retest"]["r2"] == on_ray.json()["retest"]["r2"]
    assert metrics["test"]["spectra"] == 128
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".tmp")]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"versions", "seed", "hardware", "data", "command"} <= set(manifest)
    assert manifest["command"][:3] == ["spectral-search", "run", "search.yaml"] or "run" in manifest["command"]


def test_optuna_reads_the_study_and_tells_stopped_from_complete(place: Path, on_ray: Done) -> None:
    record = record_of(place, "ray")
    study = optuna.load_study(study_name=record.manifest.study_name, storage=record.paths.study_url)
    states = [trial.state.name for trial in study.trials]
    assert states.count("COMPLETE") == on_ray.json()["trials"]["complete"]
    assert states.count("PRUNED") == on_ray.json()["trials"]["stopped"]
    for trial in study.trials:
        if trial.state.name == "COMPLETE":
            assert trial.value == record.trials[trial.number].best_value


def test_the_winner_is_chosen_by_its_best_epoch(place: Path, on_ray: Done) -> None:
    record = record_of(place, "ray")
    values = {(trial.number, epoch["epoch"]): epoch["val_r2"] for trial in record.trials for epoch in trial.epochs}
    best = on_ray.json()["best"]
    assert best["val_r2"] == max(values.values())
    assert values[best["trial"], best["epoch"]] == best["val_r2"]


@pytest.mark.parametrize("reader", ["ray", "thread"])
def test_whatever_streams_the_spectra_the_numbers_are_the_same(place: Path, reader: str) -> None:
    streamed = ["--set", "data.residency=stream", "--set", f"resources.reader={reader}"]
    options = ["--json", *OPTIONS, "--trials", "2", *streamed]
    done = spawn("run", "search.yaml", "--name", f"by-{reader}", *options, folder=place).require()
    told = {"ray": "processes of Ray Data", "thread": "a thread of the process that trains"}[reader]
    assert f"read meanwhile by {told}" in " ".join(done.stderr.split())
    call("run", "search.yaml", "--name", f"beside-{reader}", "--executor", "inline", *options, folder=place).require()
    assert leaderboard(place, f"by-{reader}") == leaderboard(place, f"beside-{reader}")


def test_inline_and_ray_give_the_same_numbers(place: Path, on_ray: Done, inline: Done) -> None:
    assert leaderboard(place, "inline") == leaderboard(place, "ray")
    assert inline.json()["retest"] == on_ray.json()["retest"]


def test_one_seed_gives_one_leaderboard(place: Path, inline: Done) -> None:
    again = ["run", "search.yaml", "--name", "again", "--executor", "inline", "--json", *OPTIONS]
    assert call(*again, folder=place).require().json()["best"] == inline.json()["best"]
    assert leaderboard(place, "again") == leaderboard(place, "inline")
    other = ["run", "search.yaml", "--name", "other", "--executor", "inline", "--set", "search.seed=7", *OPTIONS]
    call(*other, "--trials", "2", folder=place).require()
    assert leaderboard(place, "other")[0][2] not in [row[2] for row in leaderboard(place, "inline")]


def test_the_stratified_subset_is_recorded(place: Path, inline: Done) -> None:
    with np.load(record_of(place, "inline").paths.split_npz, allow_pickle=False) as split:
        rows, val = split["train_rows"], split["val_rows"]
    assert len(np.unique(rows)) == 320
    assert rows.max() < 512
    assert len(val) == 256


def test_the_stored_spec_gives_the_run_again(place: Path, inline: Done) -> None:
    spec = str(place / "ray_results" / "inline" / "spec.yaml")
    done = call("run", spec, "--name", "stored", "--executor", "inline", "--json", folder=place).require()
    assert done.json()["best"] == inline.json()["best"]


def test_the_leaderboard_and_what_to_do_next_are_printed(place: Path, inline: Done) -> None:
    options = ["--executor", "inline", *OPTIONS, "--trials", "2", "--set", "data.input.kind=flux_error"]
    text = call("run", "search.yaml", "--name", "printed", *options, folder=place).require().stdout
    for part in ("printed: finished", "numbers used for selection", "re-test of trial", "95% interval", "test data"):
        assert part in text
    assert "spectral-search export printed" in text
    assert "leaky" in text


def test_status_lists_and_tells(place: Path, inline: Done) -> None:
    listed = call("status", "--json", folder=place).require().json()
    assert "inline" in [run["name"] for run in listed]
    document = call("status", "inline", "--json", folder=place).require().json()
    assert document["best"] == inline.json()["best"]
    assert document["state"] == "finished"
    assert "inline" in call("status", folder=place).require().stdout
    assert "inline: finished" in call("status", "inline", folder=place).require().stdout


def test_a_finished_run_is_resumed_to_itself(place: Path, inline: Done) -> None:
    done = call("resume", "inline", "--executor", "inline", "--json", folder=place).require()
    assert done.json() == inline.json()


def test_the_grid_is_run_exactly(place: Path) -> None:
    spec = SEARCH + "grid: {fit.lr: [1e-3, 3e-3], model.hidden: [[8], [8, 8]]}\n"
    write_spec(place / "grid.yaml", spec)
    options = ["--sampler", "grid", "--executor", "inline", "--epochs", "2", "--json"]
    done = call("run", "grid.yaml", "--data-root", "data", *options, folder=place).require().json()
    trials = record_of(place, done["name"]).trials
    assert [trial.params for trial in trials] == [
        {"fit.lr": lr, "model.hidden": hidden} for lr in (1e-3, 3e-3) for hidden in ([8], [8, 8])
    ]


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp"])
def test_other_samplers_run(place: Path, sampler: str) -> None:
    options = ["--executor", "inline", "--sampler", sampler, "--trials", "5", "--epochs", "1", "--json"]
    done = call("run", "search.yaml", "--data-root", "data", *options, folder=place).require().json()
    assert sum(done["trials"].values()) == 5
    rates = {trial.params["fit.lr"] for trial in record_of(place, done["name"]).trials}
    assert len(rates) == 5


def test_a_finite_space_ends_when_it_is_exhausted(place: Path) -> None:
    spec = """
model: {kind: mlp, hidden: [8]}
fit: {epochs: 1, batch_size: 64}
space:
  model.kind: {choice: [mlp, cnn]}
  model.activation: {choice: [relu, gelu], when: {model.kind: mlp}}
  model.kernel_size: {choice: [3, 5], when: {model.kind: cnn}}
search: {trials: 9, min_epochs: 1, finalists: 1, retest_seeds: 1}
"""
    write_spec(place / "finite.yaml", spec)
    options = ["--data-root", "data", "--executor", "inline", "--json", "--num-train", "64"]
    done = call("run", "finite.yaml", *options, folder=place).require()
    assert sum(done.json()["trials"].values()) == 4
    record = record_of(place, "finite")
    assert len({json.dumps(trial.params, sort_keys=True) for trial in record.trials}) == 4
    assert record.manifest.planned_trials == 4


def test_a_stage_inherits_from_the_newest_finished_run(place: Path, inline: Done) -> None:
    write_spec(place / "first.yaml", SEARCH)
    write_spec(
        place / "second.yaml",
        "inherit: {from: first, keys: [fit.lr]}\n" + SEARCH.replace("  fit.lr: {log_uniform: [1e-5, 3e-2]}\n", ""),
    )
    options = ["--data-root", "data", "--executor", "inline", "--json", "--trials", "2", "--epochs", "2"]
    refused = call("run", "second.yaml", *options, folder=place).require(2)
    assert "no finished run of it: `spectral-search run first` first" in refused.stderr
    first = call("run", "first.yaml", *options, folder=place).require().json()
    dry = ["run", "second.yaml", "--data-root", "data", "--dry-run", "--json"]
    plan = call(*dry, folder=place).require().json()
    assert plan["spec"]["fit"]["lr"] == first["best"]["params"]["fit.lr"]
    assert any("taken from trial" in note for note in plan["notes"])
    given = call(*dry, "--set", "fit.lr=0.5", folder=place).require().json()
    assert given["spec"]["fit"]["lr"] == 0.5


def test_no_data_root_means_simulated_spectra(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectral_search.service.default_data import place_of
    from spectral_search.tasks.spectra import data_verbs

    monkeypatch.delenv("DATA_ROOT", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setattr(data_verbs, "CACHE_SIZES", {"train": 64, "val": 32, "test": 16})
    spec = "model: {kind: mlp, hidden: [4]}\nfit: {epochs: 1}\n"
    write_spec(place / "bare.yaml", spec)
    done = call("run", "bare.yaml", "--executor", "inline", "--json", folder=place).require()
    assert "simulated spectra" in done.stderr
    assert sum(done.json()["trials"].values()) == 1
    assert list(place_of(data_verbs.small_set()).glob("train*"))
