"""Which trials go on by successive halving, and what that costs."""

import math

import pytest

from spectral_search.spec.name_registry import RULES
from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.halving_rule import Halving, survivors
from spectral_search.task.metric import Metric

METRIC = Metric("r2", "R2", higher_is_better=True)


@pytest.mark.parametrize(
    ("best", "finalists", "go_on"),
    [
        ([0.1, 0.5, 0.3, 0.2], 1, {1, 2}),
        ([0.1, 0.5, 0.3], 1, {1, 2}),  # a part of a trial counts as one
        ([0.1, 0.5, 0.3, 0.2], 3, {1, 2, 3}),  # every finalist is trained to its end
        ([0.5, 0.5, 0.5, 0.5], 1, {0, 1}),  # of equal ones the earlier
        ([math.nan, 0.5, -math.inf, math.nan], 1, {1}),
        ([0.5], 3, {0}),
        ([], 3, set()),
    ],
)
def test_the_best_half_goes_on(best: list[float], finalists: int, go_on: set[int]) -> None:
    search = SearchSpec(reduction_factor=2, finalists=finalists)
    assert survivors(dict(enumerate(best)), Halving(search, 9, METRIC).survivors_of(len(best))) == go_on


@pytest.mark.parametrize(
    ("search", "trials", "epochs", "rungs", "cost"),
    [
        (SearchSpec(), 72, 45, [1, 5], 72 * 1 + 36 * 4 + 4 * 40),
        (SearchSpec(), 30, 100, [2, 10], 30 * 2 + 15 * 8 + 3 * 90),
        (SearchSpec(), 12, 20, [1, 2], 12 * 1 + 6 * 1 + 3 * 18),
        (SearchSpec(), 12, 10, [1], 12 * 1 + 3 * 9),  # no rung before the first epoch
        (SearchSpec(min_epochs=3), 12, 20, [3], 12 * 3 + 3 * 17),  # nor before one that was given
        (SearchSpec(), 2, 100, [2, 10], 200),
        (SearchSpec(), 5, 1, [], 5),
        (SearchSpec(min_epochs=1, reduction_factor=4), 72, 50, [1, 4, 16], 72 + 18 * 3 + 5 * 12 + 3 * 34),
        (SearchSpec(pruner="halving"), 72, 45, [5], 72 * 5 + 8 * 40),
        (SearchSpec(pruner="halving"), 30, 100, [10], 30 * 10 + 3 * 90),
        (SearchSpec(pruner="halving"), 2, 100, [10], 200),
        (
            SearchSpec(pruner="halving", min_epochs=2, reduction_factor=2, finalists=1),
            8,
            9,
            [2, 4, 8],
            8 * 2 + 4 * 2 + 2 * 4 + 1,
        ),
        (SearchSpec(pruner="asha"), 30, 100, [10, 30, 90], 3000),
        (SearchSpec(pruner="none"), 30, 100, [], 3000),
    ],
)
def test_rungs_and_cost_are_known_beforehand(
    search: SearchSpec, trials: int, epochs: int, rungs: list[int], cost: int
) -> None:
    rule = RULES.find(search.pruner)(search, epochs, METRIC)
    assert rule.rungs(epochs) == rungs
    assert rule.planned_epochs(trials, epochs) == cost
