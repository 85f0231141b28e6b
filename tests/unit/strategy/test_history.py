"""What is known of a search: how good trials are, and which have come to a rung."""

import math

import pytest
from made_histories import HIGHER, LOWER

from spectral_search.strategy.history import History, Trial

NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "until", "higher", "lower"),
    [
        ((0.1, 0.5, 0.3), None, 0.5, -0.1),
        ((0.1, 0.5, 0.3), 1, 0.1, -0.1),
        ((NAN, 0.2, math.inf), None, 0.2, -0.2),
        ((NAN, -math.inf), None, -math.inf, -math.inf),
        ((), None, -math.inf, -math.inf),
    ],
)
def test_a_gain_is_the_best_finite_value_of_which_more_is_better(
    values: tuple[float, ...], until: int | None, higher: float, lower: float
) -> None:
    trial = Trial(0, {}, 9, values)
    assert (trial.gain(HIGHER, until), trial.gain(LOWER, until)) == (higher, lower)


def test_who_failed_beyond_a_rung_keeps_its_place_there() -> None:
    trials = [
        Trial(0, {}, 9, (0.1, 0.2)),
        Trial(1, {}, 9, (0.3,)),
        Trial(2, {}, 9, (0.1, 0.4, 0.9), "failed", passed=2),
        Trial(3, {}, 9, (0.1, 0.4), "failed"),
        Trial(4, {}, 9, (0.5, 0.1), held=2),
    ]
    history = History(trials, 5)
    assert history.reached(2, HIGHER) == {0: 0.2, 2: 0.4, 4: 0.5}
    assert history.reached(2, LOWER) == {0: -0.1, 2: -0.1, 4: -0.1}
    assert [trial.number for trial in history.waiting()] == [trial.number for trial in history.waiting(2)] == [4]
    assert history.waiting(1) == [] and [trial.trains for trial in trials] == [True, True, False, False, False]
