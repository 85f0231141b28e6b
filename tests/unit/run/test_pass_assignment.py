"""Which pass a trial is given, and what is known of passes from where trials really trained."""

from types import SimpleNamespace
from typing import Any

import pytest

from spectral_search.run import pass_assignment
from spectral_search.run.pass_assignment import Desk
from spectral_search.run.study import LiveTrial
from spectral_search.run.trial_session import Step


class Pass:
    """A pass whose process is on its way up: it keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.join = SimpleNamespace(remote=lambda stored, number, *rest: self.told.append(("join", number)))
        self.leave = SimpleNamespace(remote=lambda number, expected: self.told.append(("leave", expected)))
        self.__ray_ready__ = SimpleNamespace(remote=lambda: None)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Pass]:
    monkeypatch.setattr(pass_assignment.ray, "wait", lambda asked, **options: ([], asked))
    return [Pass(), Pass()]


def epoch(seconds: float, members: int) -> Step:
    return Step({"epoch": 1, "seconds": seconds}, done=False, members=members)


def desk_of(passes: list[Pass], trials: int) -> Desk:
    desk = Desk(passes, [], SimpleNamespace(waiting=0), concurrent=8)  # type: ignore[arg-type]
    for number in range(trials):
        desk.seat(LiveTrial(number, {}))
    return desk


def homes(passes: list[Pass]) -> list[int]:
    return [sum(what == "join" for what, _ in known.told) for known in passes]


def test_an_epoch_counts_for_as_many_members_as_trained_it(passes: list[Pass]) -> None:
    """Both passes have four trials. In the second one of them catches up alone, twice as fast as all together."""
    desk = desk_of(passes, 8)
    assert homes(passes) == [4, 4]
    desk.note(0, 0, epoch(4.0, members=4))
    desk.note(1, 1, epoch(2.0, members=1))
    # Told from a checkpoint: what it took is of another session.
    desk.note(3, 1, epoch(0.1, members=0))
    for number in range(8):
        desk.hear("stopped", LiveTrial(number, {}))
    for number in range(8, 16):
        desk.seat(LiveTrial(number, {}))
    assert homes(passes) == [8, 8]


def test_a_trial_whose_pass_was_lost_counts_where_it_trains(passes: list[Pass]) -> None:
    desk = desk_of(passes, 4)
    desk.note(0, 1, epoch(1.0, members=3))
    desk.seat(LiveTrial(4, {}))
    assert homes(passes) == [3, 2]
