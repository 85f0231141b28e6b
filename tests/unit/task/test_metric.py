"""A metric knows its direction, so that nobody else assumes one."""

import math

import pytest

from spectral_search.task.metric import Metric

R2 = Metric("r2", "R2", higher_is_better=True, worst=-1.0)
MAE = Metric("mae", "MAE", higher_is_better=False, unit="mph", worst=100.0, digits=2)


def test_better_follows_the_direction() -> None:
    assert R2.better(0.5, 0.4) and not R2.better(0.4, 0.5) and not R2.better(0.5, 0.5)
    assert MAE.better(0.4, 0.5) and not MAE.better(0.5, 0.4) and not MAE.better(0.5, 0.5)


@pytest.mark.parametrize("metric", [R2, MAE])
def test_what_is_no_number_is_never_better(metric: Metric) -> None:
    assert metric.better(0.1, math.nan) and not metric.better(math.nan, 0.1)
    assert not metric.better(math.nan, math.nan)
    assert metric.better(0.1, metric.nothing)


def test_best_is_of_finite_values() -> None:
    values = {1: 0.3, 2: math.nan, 3: 0.6, 4: math.inf, 5: 0.1}
    assert (R2.best(values.values()), MAE.best(values.values())) == (0.6, 0.1)
    assert (R2.best_until(values, 2), MAE.best_until(values, 4)) == (0.3, 0.3)
    assert (R2.best([]), MAE.best([math.nan])) == (-math.inf, math.inf)


def test_models_of_results_are_told_nothing_worse_than_the_worst() -> None:
    assert (R2.held(-1e6), R2.held(math.nan), R2.held(0.2)) == (-1.0, -1.0, 0.2)
    assert (MAE.held(1e6), MAE.held(math.nan), MAE.held(3.0)) == (100.0, 100.0, 3.0)
    for higher in (True, False):
        plain = Metric("plain", "plain", higher)
        assert plain.held(math.nan) == plain.nothing, "no number is the worst of all, in either direction"


def test_values_are_told_with_unit_and_digits() -> None:
    assert (R2.told(0.56789), MAE.told(3.14159), R2.told(None)) == ("0.5679", "3.14 mph", "-")
    assert (R2.number(math.nan), R2.told(math.inf), MAE.number(3.14159), MAE.headed) == ("-", "-", "3.14", "MAE mph")
    assert (R2.val_name, R2.direction, MAE.direction) == ("val_r2", "maximize", "minimize")
