"""How the study's trials are handed to Ray Tune, and when their processes may start."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.search import Searcher
from small_search import make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.run import ray_executor as ray_tune
from spectral_search.run.ray_executor import StudyScheduler, StudySearcher
from spectral_search.run.ray_session import ray_session
from spectral_search.run.study import LiveTrial, Study
from spectral_search.run.study_storage import open_storage
from spectral_search.run.trial_session import Step
from spectral_search.train.devices import Slots, plan_slots

TRIALS = 3


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    search = {"trials": TRIALS, "pruner": "asha", "min_epochs": 3, "reduction_factor": 3}
    spec, paths = make_spec(tmp_path, tmp_path, search=search), RunPaths(tmp_path / "results", "run").create()
    with open_storage(paths.study_url) as storage:
        yield Study(spec, paths, storage, "run")


class OneDesk:
    """Seats every trial in the same pass, and keeps what it is told."""

    def __init__(self, *arguments: Any) -> None:
        self.seated: list[int] = []
        self.noted: list[tuple[int, int, int]] = []

    def seat(self, trial: LiveTrial) -> dict[str, Any]:
        self.seated.append(trial.number)
        return {"home": 7}

    def note(self, number: int, place: int, step: Step) -> None:
        self.noted.append((number, place, step.members))

    def hear(self, event: str, trial: LiveTrial) -> None:
        pass


@pytest.fixture
def desk() -> OneDesk:
    return OneDesk()


@pytest.fixture
def searcher(study: Study, desk: OneDesk) -> StudySearcher:
    return StudySearcher(study, desk)  # type: ignore[arg-type]


def ended(searcher: StudySearcher, number: int) -> None:
    searcher.study.record(number, {"epoch": 1, "val_r2": 0.5})
    searcher.study.finish(number, "complete")


def result(epoch: int, value: float = 0.1) -> dict[str, Any]:
    """As Ray Tune hands it on."""
    return {"record/epoch": epoch, "record/val_r2": value}


def test_trials_have_their_seats_before_ray_tune_asks(searcher: StudySearcher, desk: OneDesk) -> None:
    assert [config["number"] for config in searcher.seat_ahead(2)] == [0, 1]
    assert desk.seated == [0, 1]
    configs = [searcher.suggest(trial_id) for trial_id in ("a", "b", "c")]
    assert [config["number"] for config in configs] == [0, 1, 2]
    assert [config["home"] for config in configs] == [7, 7, 7]
    assert desk.seated == [0, 1, 2]
    assert searcher.numbers == {"a": 0, "b": 1, "c": 2}


def test_trials_are_called_by_stage_number_and_parameters() -> None:
    params = {"fit.lr": 3e-3, "model.hidden": [512, 128], "model.kind": "a\nb"}
    assert ray_tune.trial_title("step1", 7, params) == "step1 trial 7 lr=0.003 hidden=[512,128] kind=a b"
    assert len(ray_tune.trial_title("step1", 7, {f"model.key{n}": n for n in range(50)})) == 100


def test_no_more_seats_than_trials_and_then_the_search_is_over(searcher: StudySearcher, desk: OneDesk) -> None:
    searcher.seat_ahead(TRIALS + 5)
    assert desk.seated == [0, 1, 2]
    configs = [searcher.suggest(str(turn)) for turn in range(TRIALS)]
    assert [config["number"] for config in configs] == [0, 1, 2]
    for number in range(TRIALS):
        ended(searcher, number)
    assert searcher.suggest("more") == Searcher.FINISHED


def test_epochs_of_a_trial_whose_process_has_not_started_are_recorded(searcher: StudySearcher) -> None:
    searcher.seat_ahead(2)
    searcher.suggest("a")
    mates = [(1, [{"epoch": 1, "val_r2": 0.2}])]
    searcher.take("a", {**result(1), "mates": mates})
    told = {trial.number: trial.values for trial in searcher.study.history.trials}
    assert told == {0: (0.1,), 1: (0.2,)}


@pytest.fixture
def widened() -> list[int]:
    """What the scheduler has told Ray Tune of how many processes may start at a time."""
    return []


@pytest.fixture
def controller(widened: list[int]) -> Any:
    return SimpleNamespace(_tune_controller=SimpleNamespace(update_max_pending_trials=widened.append))


def trial_of_tune(trial_id: str, status: str = TuneTrial.ERROR) -> Any:
    return SimpleNamespace(
        trial_id=trial_id,
        status=status,
        error_file=None,
        should_recover=lambda: True,
        config={"params": {}},
        metric_analysis={},
        metric_n_steps={},
        run_metadata=SimpleNamespace(invalidate_cache=lambda: None),
    )


@pytest.mark.parametrize("how", ["epoch", "end", "error"])
def test_processes_start_at_a_time_once_the_first_trial_has_told_something(
    searcher: StudySearcher, controller: Any, widened: list[int], how: str
) -> None:
    scheduler = StudyScheduler(searcher, 8, one_by_one=True)
    searcher.suggest("a")
    told = {
        "epoch": lambda: scheduler.on_trial_result(controller, trial_of_tune("a"), result(1)),
        "end": lambda: scheduler.on_trial_complete(controller, trial_of_tune("a"), result(1)),
        "error": lambda: scheduler.on_trial_error(controller, trial_of_tune("a")),
    }
    assert widened == []
    told[how]()
    told[how]()
    assert widened == [8]


def test_where_they_start_at_a_time_anyway_nothing_is_changed(
    searcher: StudySearcher, controller: Any, widened: list[int]
) -> None:
    scheduler = StudyScheduler(searcher, 8, one_by_one=False)
    searcher.suggest("a")
    scheduler.on_trial_result(controller, trial_of_tune("a"), result(1))
    assert widened == []


def test_a_trial_that_ray_tune_gives_up_although_it_is_to_recover_is_handed_out_again(
    study: Study, searcher: StudySearcher, controller: Any
) -> None:
    scheduler = StudyScheduler(searcher, 8, one_by_one=False)
    for trial_id in ("a", "b", "c"):
        searcher.suggest(trial_id)
    scheduler.on_trial_error(controller, trial_of_tune("a"))  # Ray Tune makes another attempt by itself
    assert searcher.suggest("none") is None
    scheduler.on_trial_error(controller, trial_of_tune("b", TuneTrial.PENDING))
    assert searcher.take("b", result(1)), "what comes late from there changes nothing"
    ended(searcher, 0)
    ended(searcher, 2)
    again = searcher.suggest("d")
    assert (again["number"], again["settled"]) == (1, 0) and searcher.suggest("none") is None
    searcher.take("d", result(1))
    study.finish(1, "complete")
    assert searcher.suggest("none") == Searcher.FINISHED


@pytest.mark.slow
def test_a_process_that_dies_as_it_is_given_its_next_trial_costs_no_trial(tmp_path: Path) -> None:
    """By itself Ray Tune gives such a trial up without a word, and the search waits for it for ever."""
    search = {"trials": 4, "sampler": "random", "pruner": "none"}
    spec = make_spec(tmp_path, tmp_path, search=search, resources={"concurrent": 1, "cpus_per_trial": 1})
    died = tmp_path / "died"

    class Dying(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            pass

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            if not died.exists():
                died.touch()
                os._exit(1)
            return True

        def step(self) -> dict[str, Any]:
            return {"record": {"epoch": 1, "val_r2": 0.5}, "val_r2": 0.5, "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            pass

        def load_checkpoint(self, checkpoint: object) -> None:
            pass

    paths, slots = RunPaths(tmp_path / "results", "run").create(), plan_slots(spec.resources)
    with open_storage(paths.study_url) as storage, ray_session(spec.resources, slots, data_bytes=0, dashboard=False):
        study = Study(spec, paths, storage, "run")
        ray_tune._fit(Dying, StudySearcher(study), "run", slots, lambda params: "", one_by_one=False)
        assert died.exists() and [trial.state for trial in study.history.trials] == ["complete"] * 4


def test_of_a_trial_that_is_over_ray_tune_keeps_no_averages(searcher: StudySearcher, controller: Any) -> None:
    trial = TuneTrial("trainable", stub=True)
    searcher.numbers[trial.trial_id] = 0
    trial.update_last_result(last := {"record": {"epoch": 1, "val_r2": 0.1}})
    assert "last-5-avg" in trial.run_metadata.get_json_state()
    StudyScheduler(searcher, 8, one_by_one=False).on_trial_complete(controller, trial, last)
    assert "last-5-avg" not in trial.run_metadata.get_json_state()
    assert trial.last_result == last, "the searcher is told of it next"


def test_a_trial_is_judged_when_it_tells_its_last_recorded_epoch_itself(searcher: StudySearcher) -> None:
    searcher.seat_ahead(2)
    searcher.suggest("a")
    searcher.suggest("b")
    mates = [(1, [{"epoch": 1, "val_r2": 0.2}, {"epoch": 2, "val_r2": 0.1}, {"epoch": 3, "val_r2": 0.0}])]
    for epoch in (1, 2, 3):
        assert not searcher.take("a", {**result(epoch, 0.5), "mates": mates})
    assert [searcher.take("b", result(epoch, value)) for epoch, value in ((1, 0.2), (2, 0.1), (3, 0.0))] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("search", "epochs", "one_by_one"),
    [
        ({"pruner": "asha", "min_epochs": 2}, 9, True),
        ({"pruner": "asha", "min_epochs": 1}, 9, False),
        ({"pruner": "none"}, 2, True),
        ({"pruner": "none"}, 1, False),
    ],
)
def test_a_shared_search_seats_its_trials_and_holds_processes_back_unless_all_are_needed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: dict[str, Any], epochs: int, one_by_one: bool
) -> None:
    spec = make_spec(tmp_path, tmp_path, search={"trials": TRIALS, **search}, fit={"epochs": epochs})
    paths = RunPaths(tmp_path / "results", "run").create()
    slots = Slots(2.0, 0.0, 2, (), None, 1, 2)
    asked: dict[str, Any] = {}

    desk = OneDesk()

    def fit(trainable: object, searcher: object, name: str, slots: Slots, about: object, *, one_by_one: bool) -> None:
        asked["one_by_one"] = one_by_one

    monkeypatch.setattr(ray_tune, "Desk", lambda *arguments: desk)
    monkeypatch.setattr(ray_tune, "_fit", fit)
    monkeypatch.setattr(ray_tune, "_about_deaths", lambda *arguments: None)
    monkeypatch.setattr(ray_tune, "_job", lambda *arguments: None)
    monkeypatch.setattr(ray_tune.ray, "put", lambda value: value)
    for name in ("with_parameters", "with_resources"):
        monkeypatch.setattr(ray_tune.tune, name, lambda trainable, *rest, **parameters: trainable)
    with open_storage(paths.study_url) as storage:
        ray_tune.run_shared([], spec, paths, Study(spec, paths, storage, "run"), None, slots)  # type: ignore[arg-type]
    assert desk.seated == [0, 1]
    assert asked["one_by_one"] == one_by_one


def test_where_a_trial_really_trained_and_with_how_many_is_noted(searcher: StudySearcher, desk: OneDesk) -> None:
    searcher.suggest("a")
    searcher.take("a", {**result(1), "members": 3, "place": 1, "done": False})
    searcher.take("a", {**result(2), "members": 0, "place": 0, "done": False})
    assert desk.noted == [(0, 1, 3), (0, 0, 0)]


def test_ray_tune_has_the_call_that_lets_more_start() -> None:
    from ray.tune.execution.tune_controller import TuneController

    assert callable(TuneController.update_max_pending_trials)
