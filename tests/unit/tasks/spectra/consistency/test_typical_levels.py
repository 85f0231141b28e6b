"""Levels are apart by a factor whatever their unit, and a few odd numbers move neither them nor their range."""

import math

import numpy as np
import pytest

from spectral_search.tasks.spectra.consistency.typical_levels import Level


def level(values: np.ndarray) -> Level:
    found = Level.of(values)
    assert found is not None
    return found


def test_a_unit_shifts_a_level_and_nothing_else() -> None:
    value_N = np.random.default_rng(1).lognormal(0.0, 0.5, 5000)
    one, other = level(value_N), level(1e-17 * value_N)
    assert math.exp(one.shift(other)) == pytest.approx(1e17)
    assert one.spread == pytest.approx(other.spread) and one.spread == pytest.approx(0.5, rel=0.05)
    assert one.standard_error == pytest.approx(1.2533 * 0.5 / 5000**0.5, rel=0.05)
    assert one.value == pytest.approx(1.0, rel=0.05)


def test_ranges_overlap_or_leave_a_gap() -> None:
    one, near, far = (level(factor * np.linspace(1.0, 2.0, 1001)) for factor in (1.0, 1.9, 10.0))
    assert one.gap(near) == near.gap(one) == 0.0
    assert math.exp(one.gap(far)) == pytest.approx(10.0 / 2.0, rel=0.03)
    assert far.gap(one) == one.gap(far)


def test_odd_numbers_and_impossible_ones_count_for_nothing() -> None:
    value_N = np.linspace(1.0, 2.0, 1000)
    odd = np.concatenate([value_N, [1e30, 1e-30, np.nan, np.inf, 0.0, -1.0]])
    assert level(odd).median == pytest.approx(level(value_N).median, abs=1e-2)
    assert level(odd).high == pytest.approx(level(value_N).high, abs=1e-2)
    assert Level.of(np.array([np.nan, 0.0, -1.0])) is None


def test_few_numbers_have_a_wide_error() -> None:
    value_N = np.random.default_rng(1).lognormal(0.0, 0.5, 400)
    many, few = level(value_N), level(value_N[:3])
    assert few.shift_error(many) > 0.3 > 0.1 > many.shift_error(many)
