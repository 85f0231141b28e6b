"""The interval of R2 to be expected agrees with the formula for many spectra and is honest for few."""

import re

import pytest

from spectral_search.tasks.spectra.noise.small_val import simulated_interval, small_val_notes, standard_error


@pytest.mark.parametrize(("spectra", "error"), [(1000, 0.022), (10_000, 0.007)])
def test_the_formula_gives_the_known_standard_errors(spectra: int, error: float) -> None:
    assert standard_error(0.5, spectra) == pytest.approx(error, abs=5e-4)


def test_the_simulation_agrees_with_the_formula_for_many_spectra() -> None:
    low, high = simulated_interval(0.5, 500)
    assert high - low == pytest.approx(2 * 1.96 * standard_error(0.5, 500), rel=0.08)
    assert simulated_interval(0.5, 500) == (low, high)


def test_five_spectra_tell_nothing() -> None:
    low, high = simulated_interval(0.5, 5)
    assert low < -1 and 0.8 < high < 1
    (told,) = small_val_notes(5)
    assert re.search(r"val holds 5 spectra: .* between -2\.\d\d and 0\.8\d \(95% interval\)", told)


def test_enough_spectra_need_no_word() -> None:
    assert small_val_notes(200) == [] != small_val_notes(180)
