"""A search that was extended is the search that was planned so from the start."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from small_search import facts, make_data, make_spec

from spectral_search import service
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.service import RunOptions, Shown

GRID: dict[str, Any] = {"search": {"sampler": "grid", "pruner": "none"}, "grid": {"fit.lr": [1e-4, 1e-3, 3e-3, 1e-2]}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "data")


def run(folder: Path, data: Path, name: str, **changes: Any) -> RunPaths:
    make_spec(folder, data, **changes)
    options = RunOptions(name=name, results=str(folder / "results"), executor="inline")
    shown = Shown(Console(file=io.StringIO()))
    service.run(service.plan(str(folder / "small.yaml"), options, shown, dry_run=False), name, options, shown)
    return RunPaths(folder / "results", name)


def resume(paths: RunPaths, **more: Any) -> str:
    said = io.StringIO()
    options = RunOptions(results=str(paths.root), executor="inline", **more)
    service.resume(paths.name, options, Shown(Console(file=said)))
    return said.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_more_trials_are_those_of_a_longer_search(tmp_path: Path, data: Path, sampler: str) -> None:
    search = {"sampler": sampler, "pruner": "asha"}
    paths = run(tmp_path, data, "extended", search={"trials": 4, **search})
    said = resume(paths, trials=7)
    assert "7 trials in all, 3 of them new" in said
    assert facts(paths) == facts(run(tmp_path, data, "planned", search={"trials": 7, **search}))
    assert RunRecord.load(paths).manifest.planned_trials == 7


@pytest.mark.slow
def test_by_halving_more_trials_are_judged_with_those_before(tmp_path: Path, data: Path) -> None:
    search = {"pruner": "halving", "min_epochs": 2, "reduction_factor": 5, "finalists": 1}
    paths = run(tmp_path, data, "extended", search={"trials": 3, **search})
    assert [trial.last_epoch for trial in RunRecord.load(paths).ranked()] == [9, 2, 2]
    resume(paths, trials=6)
    trials = RunRecord.load(paths).trials
    reached = {trial.number: max(epoch["val_r2"] for epoch in trial.epochs[:2]) for trial in trials}
    best_two = sorted(reached, key=reached.__getitem__)[-2:]
    for trial in trials[3:]:
        assert trial.state == ("complete" if trial.number in best_two else "stopped")


@pytest.mark.slow
def test_more_epochs_are_those_of_longer_trials(tmp_path: Path, data: Path) -> None:
    paths = run(tmp_path, data, "extended", fit={"epochs": 3, "patience": 2}, **GRID)
    early = [trial.number for trial in RunRecord.load(paths).trials if trial.last_epoch < 3]
    resume(paths, epochs=6)
    assert facts(paths) == facts(run(tmp_path, data, "planned", fit={"epochs": 6, "patience": 2}, **GRID))
    assert all(RunRecord.load(paths).trials[number].last_epoch < 3 for number in early)
    resume(paths, epochs=6)  # asked for again: nothing is left to do
    assert RunRecord.load(paths).epochs_trained <= 24


@pytest.mark.slow
def test_asha_judges_complete_trials_where_they_had_ended(tmp_path: Path, data: Path) -> None:
    """Epoch 3 was the last and becomes a rung: the best of the four goes on beyond it."""
    search = {"sampler": "grid", "pruner": "asha", "min_epochs": 3, "reduction_factor": 4}
    paths = run(tmp_path, data, "extended", fit={"epochs": 3}, search=search, grid=GRID["grid"])
    before = RunRecord.load(paths)
    assert before.count("complete") == 4
    at_rung = {trial.number: trial.epochs[2]["val_r2"] for trial in before.trials}
    resume(paths, epochs=6)
    states = {trial.number: (trial.state, trial.last_epoch) for trial in RunRecord.load(paths).trials}
    best = max(at_rung, key=at_rung.__getitem__)
    assert states == {number: ("complete", 6) if number == best else ("stopped", 3) for number in at_rung}


@pytest.mark.parametrize("planned", [{"schedule": "cosine"}, {"weight_average": "swa"}], ids=["cosine", "swa"])
def test_what_was_planned_to_its_end_is_not_prolonged(tmp_path: Path, data: Path, planned: dict[str, str]) -> None:
    paths = run(tmp_path, data, "planned", fit={"epochs": 2, **planned}, **GRID)
    before = facts(paths)
    with pytest.raises(RequestError, match="planned to end at epoch 2"):
        resume(paths, epochs=4)
    assert facts(paths) == before


def test_less_is_refused(tmp_path: Path, data: Path) -> None:
    paths = run(tmp_path, data, "small", fit={"epochs": 2}, search={"trials": 3, "pruner": "none"})
    before = paths.manifest_json.read_bytes()
    told = {"trials": (2, "has 3 trials already"), "epochs": (1, "the trials have 2 epochs already")}
    for key, (fewer, sentence) in told.items():
        with pytest.raises(RequestError, match=sentence):
            resume(paths, **{key: fewer})
        assert paths.manifest_json.read_bytes() == before


def test_grid_has_no_more_trials(tmp_path: Path, data: Path) -> None:
    paths = run(tmp_path, data, "grid", fit={"epochs": 1}, **GRID)
    with pytest.raises(RequestError, match="4 points of a grid"):
        resume(paths, trials=9)
