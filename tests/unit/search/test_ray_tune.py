"""How the study's trials are handed to Ray Tune, and when their processes may start."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.search import Searcher
from small_search import make_spec

from spectral_search.results.paths import RunPaths
from spectral_search.search.ray_tune import StudyScheduler, StudySearcher
from spectral_search.search.study import LiveTrial, Study, open_storage

TRIALS = 3


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    search = {"trials": TRIALS, "pruner": "asha", "min_epochs": 1, "reduction_factor": 3}
    spec, paths = make_spec(tmp_path, tmp_path, search=search), RunPaths(tmp_path / "results", "run").create()
    with open_storage(paths.study_url) as storage:
        yield Study(spec, paths, storage, "run")


@pytest.fixture
def seated() -> list[int]:
    return []


@pytest.fixture
def searcher(study: Study, seated: list[int]) -> StudySearcher:
    def seat(trial: LiveTrial) -> dict[str, Any]:
        seated.append(trial.number)
        return {"home": 7}

    return StudySearcher(study, seat)


def ended(searcher: StudySearcher, number: int) -> None:
    searcher.study.record(number, {"epoch": 1, "val_r2": 0.5})
    searcher.study.finish(number, "complete")


def test_trials_have_their_seats_before_ray_tune_asks(searcher: StudySearcher, seated: list[int]) -> None:
    searcher.seat_ahead(2)
    assert seated == [0, 1]
    configs = [searcher.suggest(trial_id) for trial_id in ("a", "b", "c")]
    assert [config["number"] for config in configs] == [0, 1, 2]
    assert [config["home"] for config in configs] == [7, 7, 7]
    assert seated == [0, 1, 2]
    assert searcher.numbers == {"a": 0, "b": 1, "c": 2}


def test_no_more_seats_than_trials_and_then_the_search_is_over(searcher: StudySearcher, seated: list[int]) -> None:
    searcher.seat_ahead(TRIALS + 5)
    assert seated == [0, 1, 2]
    configs = [searcher.suggest(str(turn)) for turn in range(TRIALS)]
    assert [config["number"] for config in configs] == [0, 1, 2]
    for number in range(TRIALS):
        ended(searcher, number)
    assert searcher.suggest("more") == Searcher.FINISHED


def test_epochs_of_a_trial_whose_process_has_not_started_are_recorded(searcher: StudySearcher) -> None:
    searcher.seat_ahead(2)
    searcher.suggest("a")
    mates = [(1, [{"epoch": 1, "val_r2": 0.2}])]
    searcher.take("a", {"record/epoch": 1, "record/val_r2": 0.1, "mates": mates})
    told = {trial.number: trial.intermediate_values for trial in searcher.study.trials()}
    assert told == {0: {1: 0.1}, 1: {1: 0.2}}


@pytest.mark.parametrize(("one_first", "widened"), [(True, [8]), (False, [])])
def test_other_processes_start_once_the_first_epoch_is_told(
    searcher: StudySearcher, one_first: bool, widened: list[int]
) -> None:
    seen: list[int] = []
    controller = SimpleNamespace(_tune_controller=SimpleNamespace(update_max_pending_trials=seen.append))
    scheduler = StudyScheduler(searcher, 8, one_first)
    config, trial = searcher.suggest("a"), SimpleNamespace(trial_id="a")
    assert seen == []
    for epoch in (1, 2):
        scheduler.on_trial_result(controller, trial, {"record/epoch": epoch, "record/val_r2": 0.1})
    assert seen == widened
    assert config["number"] == 0


def test_ray_tune_has_the_call_that_lets_more_start() -> None:
    from ray.tune.execution.tune_controller import TuneController

    assert callable(TuneController.update_max_pending_trials)
