"""Trials in shared passes: who trains with whom, who waits for whom, and whose error an error is."""

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small_search import make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.run.shared_pass import SharedPass
from spectral_search.run.trial_session import Step, trial_course
from spectral_search.run.under_way import RETRIES, Death, UnderWay, death_of
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.space_points import Params
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import make_splits
from spectral_search.tasks.spectra.training.prepare_dataset import prepare
from spectral_search.train.admission import Admission, NoRoomError
from spectral_search.train.member import Member
from spectral_search.train.trainer import Trainer

EPOCHS = 6
PARAMS: dict[int, dict[str, Any]] = {0: {"fit.lr": 1.0e-3}, 1: {"fit.lr": 3.0e-3}, 2: {"fit.lr": 1.0e-2}}
Passes = list[tuple[int, ...]]


class Trials(SharedPass):
    """A pass of trials of one search, who leave when they are done."""

    def __init__(self, trainer: Trainer, spec: RunSpec, paths: RunPaths, **further: Any) -> None:
        super().__init__(lambda: trainer, **further)
        self._course = partial(trial_course, spec, paths)

    def add(self, number: int, params: Params, settled: int) -> None:
        self.join(number, self._course(number, params), settled)

    def advance(self) -> dict[int, Step]:
        steps = super().advance()
        for number in (number for number, step in steps.items() if step.done):
            self.leave(number)
        return steps


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RunSpec:
    folder = tmp_path_factory.mktemp("search")
    data = make_data(folder / "data")
    spec = make_spec(folder, data, fit={"epochs": EPOCHS}, search={"min_epochs": 2, "reduction_factor": 2})
    return spec.override({"data.residency": "resident"})


@pytest.fixture(scope="module")
def trainer(spec: RunSpec) -> Trainer:
    splits = make_splits(DataRoot.find(spec.data.root or []), spec.data)
    return Trainer(prepare(spec, splits, iter_blocks).dataset, torch.device("cpu"))


@pytest.fixture
def make(spec: RunSpec, trainer: Trainer, tmp_path: Path) -> Callable[[], Trials]:
    return lambda: Trials(trainer, spec, RunPaths(tmp_path, "run"))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Passes:
    """The members of every pass that was made."""
    found: Passes = []
    sound = Trainer.run_epoch

    def run_epoch(self: Trainer, members: list[Member]) -> Any:
        found.append(tuple(member.number for member in members))
        return sound(self, members)

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    return found


def to_end(shared: SharedPass) -> dict[int, list[Step]]:
    steps: dict[int, list[Step]] = {}
    while shared.members:
        for number, step in shared.advance().items():
            steps.setdefault(number, []).append(step)
    return steps


def values(steps: list[Step]) -> dict[int, float]:
    return {step.record["epoch"]: step.record["val_r2"] for step in steps if step.record is not None}


def test_trials_that_begin_together_train_in_the_same_passes(make: Callable[[], Trials], passes: Passes) -> None:
    shared = make()
    for number, params in PARAMS.items():
        shared.add(number, params, 0)
    steps = to_end(shared)
    assert passes == [(0, 1, 2)] * EPOCHS
    assert all(list(values(told)) == list(range(1, EPOCHS + 1)) for told in steps.values())
    assert all(told[-1].done and not any(step.done for step in told[:-1]) for told in steps.values())


def test_trial_that_joins_catches_up_while_the_others_wait(make: Callable[[], Trials], passes: Passes) -> None:
    shared = make()
    shared.add(0, PARAMS[0], 0)
    for _ in range(3):
        shared.advance()
    shared.add(1, PARAMS[1], 0)
    to_end(shared)
    assert passes == [(0,)] * 3 + [(1,)] * 3 + [(0, 1)] * 3


def test_trial_does_not_depend_on_who_trains_beside_it(make: Callable[[], Trials], tmp_path: Path) -> None:
    together = make()
    for number, params in PARAMS.items():
        together.add(number, params, 0)
    beside = to_end(together)
    for number, params in PARAMS.items():
        for file in RunPaths(tmp_path, "run").trial(number).checkpoint_dir.iterdir():
            file.unlink()
        alone = make()
        alone.add(number, params, 0)
        assert values(to_end(alone)[number]) == pytest.approx(values(beside[number]), abs=1e-5)


def test_trials_of_other_batch_sizes_have_their_own_passes(make: Callable[[], Trials], passes: Passes) -> None:
    shared = make()
    for number, size in enumerate((32, 16, 32)):
        shared.add(number, {"fit.batch_size": size}, 0)
    steps = shared.advance()
    assert sorted(passes) == [(0, 2), (1,)]
    assert {number: step.members for number, step in steps.items()} == {0: 2, 1: 1, 2: 2}


def test_what_the_checkpoint_holds_is_told_again_without_training(make: Callable[[], Trials], passes: Passes) -> None:
    first = make()
    first.add(0, PARAMS[0], 0)
    first.add(1, PARAMS[1], 0)
    before = {n: values([s]) for n, s in [item for _ in range(2) for item in first.advance().items()]}
    trained = len(passes)
    again = make()
    again.add(0, PARAMS[0], 1)
    again.add(1, PARAMS[1], 1)
    told = again.advance()
    assert len(passes) == trained
    assert {number: values([step]) for number, step in told.items()} == before
    assert [step.members for step in told.values()] == [0, 0]
    assert again.at_rung(0)


@pytest.mark.parametrize("error", [RuntimeError("device lost"), ValueError("bad shape")])
def test_error_of_one_member_costs_the_others_nothing(
    make: Callable[[], Trials], passes: Passes, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    sound = Trainer.run_epoch

    def run_epoch(self: Trainer, members: list[Member]) -> Any:
        if any(member.number == 1 and member.epoch == 3 for member in members):
            raise type(error)(*error.args)  # a new one, whose traceback ends with it and keeps no member
        return sound(self, members)

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    shared = make()
    for number, params in PARAMS.items():
        shared.add(number, params, 0)
    steps = to_end(shared)
    failed = steps[1][-1]
    assert list(values(steps[1])) == [1, 2, 3]
    assert failed.failure is not None
    assert str(error) in failed.failure
    assert [list(values(steps[number])) for number in (0, 2)] == [list(range(1, EPOCHS + 1))] * 2
    assert passes[-1] == (0, 2), "they train together again"


class Crowd:
    """Lets so many members of a trainer live at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.asked = 0

        def check(admission: Admission, config: object, beside: Callable[[], list[object]]) -> None:
            self.asked += 1
            gc.collect()  # as the sound one does before it refuses
            if len(beside()) >= most:
                raise NoRoomError("no room for another")

        monkeypatch.setattr(Admission, "check", check)


@pytest.mark.slow
def test_a_trial_without_room_waits_until_others_leave(
    make: Callable[[], Trials], passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = Crowd(monkeypatch, 2)
    shared = make()
    for number, params in PARAMS.items():
        shared.add(number, params, 0)
    steps = to_end(shared)
    assert passes == [(0, 1)] * EPOCHS + [(2,)] * EPOCHS
    assert crowd.asked == 4, "it is not asked at every epoch"
    assert steps[2][0].note == "Waited for memory: no room for another"
    assert [steps[number][0].note for number in (0, 1)] == [None, None]


@pytest.mark.slow
def test_a_trial_without_room_even_alone_fails(make: Callable[[], Trials], monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(monkeypatch, 0)
    shared = make()
    shared.add(0, PARAMS[0], 0)
    ((step,),) = to_end(shared).values()
    assert step.failure is not None
    assert step.failure.startswith("NoRoomError: no room for another (see ")
    assert crowd.asked == RETRIES + 1


def test_suspects_train_an_epoch_alone_and_then_with_the_others(
    spec: RunSpec, trainer: Trainer, tmp_path: Path, passes: Passes
) -> None:
    shared = Trials(trainer, spec, RunPaths(tmp_path, "run"), alone=[0, 2])
    for number, params in PARAMS.items():
        shared.add(number, params, 0)
    for _ in range(2):
        shared.advance()
    assert sorted(passes[:3]) == [(0,), (1,), (2,)]
    assert passes[3] == (0, 1, 2)


def test_what_trains_is_written_down_while_it_does(
    spec: RunSpec, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, found = RunPaths(tmp_path, "run"), []
    sound = Trainer.run_epoch

    def run_epoch(self: Trainer, members: list[Member]) -> Any:
        found.append(death_of(paths.under_way("process")))
        return sound(self, members)

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    shared = Trials(trainer, spec, paths, under_way=UnderWay(paths.under_way("process"), deaths=1))
    for number in (1, 2):
        shared.add(number, PARAMS[number], 0)
    shared.advance()
    assert found == [Death((1, 2), 2)]
    assert death_of(paths.under_way("process")) == Death((), 2)
