"""How the budget of the re-test is shared: whole copies while it lasts, else shorter ones of the winner."""

import pytest

from spectral_search.spec.copies import share_budget
from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.promote_rule import Promotion
from spectral_search.task.metric import Metric

METRIC = Metric("r2", "R2", higher_is_better=True)


@pytest.mark.parametrize(
    ("best_epochs", "count", "budget", "expected"),
    [
        ([10, 2, 50], 2, 34, [(2, 10), (2, 2), (0, 0)]),  # 10 passes, 20 epochs, and 4 in the same passes
        ([10, 2, 50], 2, 33, [(2, 10), (1, 2), (0, 0)]),
        ([10, 12], 2, 44, [(2, 10), (1, 12)]),  # two more passes, and 12 epochs
        ([10, 12], 2, 43, [(2, 10), (0, 0)]),
        ([10, 2], 2, 29, [(2, 9), (0, 0)]),
        ([60], 2, 3, [(2, 1)]),
        ([60], 2, 2.5, [(1, 1)]),
        ([60], 2, 1.9, [(0, 0)]),
        ([60], 0, 100, [(0, 0)]),
        ([0], 2, 0, [(2, 0)]),
        ([], 2, 10, []),
    ],
)
def test_the_budget_is_shared(
    best_epochs: list[int], count: int, budget: float, expected: list[tuple[int, int]]
) -> None:
    assert share_budget(best_epochs, count, budget) == expected


@pytest.mark.parametrize("trials", [4, 16, 30, 200])
@pytest.mark.parametrize("epochs", [5, 20, 60, 100])
def test_by_default_it_costs_a_fifth_of_the_search_at_most(trials: int, epochs: int) -> None:
    search = SearchSpec()
    trained = Promotion(search, epochs, METRIC).planned_epochs(trials, epochs)
    shared = search.copies_of([epochs] * 3, trained)
    passes = max(each for _, each in shared)
    assert 0 < passes + sum(times * each for times, each in shared) <= 0.2 * (trained + epochs)
