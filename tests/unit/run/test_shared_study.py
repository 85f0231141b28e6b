"""A study that several hold at a time: each trial is one's own, and whoever dies leaves it to the others."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from small_search import make_spec

from spectral_search.record.durable import read_lines
from spectral_search.record.joiners import joining, others_live
from spectral_search.record.paths import RunPaths
from spectral_search.record.paused import read_paused
from spectral_search.record.stored_trials import read_study
from spectral_search.run.shared_study import SharedStudy
from spectral_search.run.study_storage import open_storage
from spectral_search.run.under_way import RETRIES
from spectral_search.spec.search import SearchSpec
from spectral_search.spec.space_part import PausedPart, SpacePart
from spectral_search.strategy.history import History
from spectral_search.strategy.pause import Pause

Open = Callable[[], SharedStudy]


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "results", "run").create()


@pytest.fixture
def another(tmp_path: Path, paths: RunPaths) -> Iterator[Open]:
    """Open the study as one more process would."""
    search = {"trials": 6, "pruner": "promote", "min_epochs": 2, "reduction_factor": 2, "finalists": 1}
    spec = make_spec(tmp_path, tmp_path, search=search, fit={"epochs": 4, "patience": None})
    with ExitStack() as opened:
        yield lambda: SharedStudy(spec, paths, opened.enter_context(open_storage(paths.study_url)), "run")


class Closing(Pause):
    """Closes one part whatever there is."""

    def __init__(self, search: SearchSpec, found: PausedPart) -> None:
        super().__init__(search)
        self._found = found

    def parts(self, history: History) -> list[PausedPart]:
        return [self._found]


def record(epoch: int, value: float) -> dict[str, Any]:
    return {"epoch": epoch, "val_r2": value, "train_loss": 1.0}


def begin(study: SharedStudy) -> int:
    trial = study.next_trial()
    assert trial is not None
    return trial.number


def die(study: SharedStudy) -> None:
    """What the system does for a process that is killed: its locks are gone, its files are not."""
    import os

    for descriptor in study._owned.values():
        os.close(descriptor)
    study._owned.clear()


def train(study: SharedStudy, number: int, values: list[float], first: int = 1) -> None:
    for epoch, value in enumerate(values, start=first):
        if study.report(number, record(epoch, value)):
            study.stop(number)
            return
    if first + len(values) > 4:
        study.finish(number, "complete")


def test_trials_are_numbered_through_and_each_is_ones_own(another: Open, paths: RunPaths) -> None:
    one, other = another(), another()
    assert [begin(one), begin(other), begin(one), begin(other)] == [0, 1, 2, 3]
    stored = read_study(paths.study_url, "run")
    assert stored is not None and len({str(trial.params) for trial in stored}) == 4
    assert one.others_train() and other.others_train()


def test_a_verdict_sees_what_the_others_recorded(another: Open) -> None:
    one, other = another(), another()
    numbers = [begin(one), begin(other), begin(other)]
    train(other, numbers[1], [0.1, 0.2])
    train(other, numbers[2], [0.3, 0.5])
    train(one, numbers[0], [0.2, 0.3])
    values = [trial.values for trial in one.history.trials]
    assert values == [(0.2, 0.3), (0.1, 0.2), (0.3, 0.5)]
    assert [trial.held for trial in one.history.trials] == [2, 2, 0], "the last to come was the best of all three"
    train(other, numbers[2], [0.1, 0.1], first=3)
    # Which of those that wait may go on follows from what both recorded, and one of both takes it.
    again = [study.next_trial() for study in (one, other)]
    assert [trial.number for trial in again if trial is not None] == [3, 4]


def test_a_trial_of_a_process_that_died_is_gone_on_with_by_another(another: Open, paths: RunPaths) -> None:
    one, other = another(), another()
    number = begin(one)
    one.record(number, record(1, 0.2))
    assert begin(other) != number
    die(one)
    trial = other.next_trial()
    assert trial is not None and (trial.number, trial.last_epoch) == (number, 1) and number in other.orphans
    other.record(number, record(2, 0.3))
    assert [row["epoch"] for row in read_lines(paths.trial(number).progress_jsonl).records] == [1, 2]
    assert "died in its epoch 2" in paths.trial(number).log_txt.read_text()


def test_a_trial_that_kills_whoever_trains_it_fails_in_the_end(another: Open, paths: RunPaths) -> None:
    victim = another()
    number = begin(victim)
    for _ in range(RETRIES):
        die(victim)
        victim = another()
        assert begin(victim) == number
    die(victim)
    assert begin(another()) == number + 1
    stored = read_study(paths.study_url, "run")
    assert stored is not None and stored[number].state == "failed" and "4 times" in (stored[number].error or "")


def test_who_leaves_in_good_order_is_not_mourned(another: Open, paths: RunPaths) -> None:
    one, other = another(), another()
    number = begin(one)
    one.halt(KeyboardInterrupt())
    one.leave()
    assert begin(other) == number and not other.orphans and not paths.trial(number).log_txt.exists()


def test_what_one_pauses_is_paused_for_the_others(another: Open, paths: RunPaths) -> None:
    one, other = another(), another()
    first, second = (PausedPart(SpacePart("fit.lr", "is", value), "x", (0,)) for value in (0.1, 0.2))
    one.finish(begin(one), "failed", "x")
    for study, found in ((one, first), (other, first), (other, second)):
        study._pause = Closing(study.spec.search, found)
        begin(study)
    assert read_paused(paths) == [first, second]
    one.others_train()
    assert one.paused == other.paused == [first, second]


def test_a_process_is_one_of_several_while_it_lives(paths: RunPaths) -> None:
    with joining(paths):
        (file,) = paths.joiners_dir.iterdir()
        assert not others_live(paths)
        other = file.with_name("elsewhere-7.json")
        other.write_text('{"host": "elsewhere", "pid": 7, "process_started": 1.0}')
        assert others_live(paths) and not others_live(paths, other.stat().st_mtime + 100)
        dead = file.with_name("dead.json")
        dead.write_text(file.read_text().replace('"pid": ', '"pid": 9'))
        other.unlink()
        assert not others_live(paths)
    assert not file.exists()
