"""Points that no trial has had: what was tried is looked up once, however many are drawn."""

import pytest
from made_histories import MIXED, history_of, spec_of, trained

from spectral_search.strategy import untried_points
from spectral_search.strategy.history import History
from spectral_search.strategy.untried_points import TriedPoints, UntriedPoints


def test_many_points_ask_once_what_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, sound = list[History](), TriedPoints.points

    def counting(self: TriedPoints, history: History) -> object:
        asked.append(history)
        return sound(self, history)

    points, spec = UntriedPoints(spec_of(MIXED, "random")), spec_of(MIXED, "random")
    (had,) = UntriedPoints(spec).some(history_of([]), 1, 7)
    monkeypatch.setattr(untried_points.TriedPoints, "points", counting)
    found = points.some(history_of([trained(0, had)]), 40, 7)
    assert len(asked) == 1
    assert 30 < len(found) < 40 and had not in found
