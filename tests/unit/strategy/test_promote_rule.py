"""Promotion: who may go on from a rung by now."""

import math

import pytest

from spectral_search.strategy.promote_rule import leaders, promoted


@pytest.mark.parametrize(
    ("best", "factor", "expected"),
    [
        ({0: 0.1, 1: 0.3}, 3, []),  # not before there are three
        ({0: 0.1, 1: 0.3, 2: 0.2}, 3, [1]),
        ({0: 0.1, 1: 0.3, 2: 0.2, 3: 0.4}, 2, [3, 1]),
        ({4: 0.3, 1: 0.3}, 2, [1]),  # the earlier of equals
        ({0: -math.inf, 1: math.nan, 2: -math.inf, 3: -1e6}, 2, [3]),  # nobody whose value is not finite
    ],
)
def test_the_best_of_those_that_came_lead(best: dict[int, float], factor: int, expected: list[int]) -> None:
    assert leaders(best, factor) == expected


def test_the_best_that_waits_is_promoted() -> None:
    best = {0: 0.4, 1: 0.3, 2: 0.2, 3: 0.1}
    assert promoted(best, [1, 2, 3], 2) == 1  # 0 went on before
    assert promoted(best, [2, 3], 2) is None


def test_who_was_passed_over_may_still_go_on() -> None:
    best = {0: 0.3, 1: 0.2}
    assert promoted(best, [1], 2) is None
    assert promoted({**best, 2: 0.1, 3: 0.0}, [1, 2, 3], 2) == 1
