"""Moments of clipped noise against the formulas and against draws."""

import numpy as np
import pytest

from spectral_search.tasks.spectra.noise.clipped_moments import fill_moments, shift_and_variance


def moments(flux: np.ndarray, error: np.ndarray, level: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the noisy pixels themselves, not whitened."""
    flux_PL, error_PL = (np.atleast_2d(values).astype(np.float32) for values in (flux, error))
    pixels = flux_PL.shape[1]
    mean_PL, variance_PL = np.empty_like(flux_PL), np.empty_like(flux_PL)
    fill_moments(flux_PL, error_PL, np.zeros(pixels, "f4"), np.ones(pixels, "f4"), level, mean_PL, variance_PL)
    return mean_PL, variance_PL


def test_polynomials_meet_the_formulas() -> None:
    z = np.linspace(0.0, 9.0, 4001)
    shift, variance = shift_and_variance(z)
    mean_PL, variance_PL = moments(z, np.ones_like(z))
    np.testing.assert_allclose(mean_PL[0], z + shift, atol=3e-6)
    np.testing.assert_allclose(variance_PL[0], variance, atol=2e-5)


@pytest.mark.parametrize("z", [0.0, 0.4, 1.5, 3.0])
def test_formulas_meet_draws(z: float) -> None:
    drawn = np.maximum(z + np.random.default_rng(1).standard_normal(400_000), 0.0)
    shift, variance = (float(value[0]) for value in shift_and_variance(np.array([z])))
    assert drawn.mean() == pytest.approx(z + shift, abs=5.0 / np.sqrt(400_000))
    assert drawn.var() == pytest.approx(variance, abs=8.0 / np.sqrt(400_000))


def test_whitening_level_and_invalid_values() -> None:
    flux, error = np.array([[50.0, 0.5, 3.0, 0.0]], "f4"), np.array([[1.0, 1.0, 0.0, 0.0]], "f4")
    centre_L, inverse_L = np.array([40.0, 0.0, 3.0, 0.0], "f4"), np.array([0.5, 2.0, 1.0, 0.0], "f4")
    mean_PL, variance_PL = np.empty_like(flux), np.empty_like(flux)
    fill_moments(flux, error, centre_L, inverse_L, 2.0, mean_PL, variance_PL)
    shift, variance = shift_and_variance(np.array([0.25]))
    np.testing.assert_allclose(mean_PL[0], [5.0, 2.0 * (0.5 + 2.0 * shift[0]), 0.0, 0.0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance_PL[0], [1.0, 16.0 * variance[0], 0.0, 0.0], rtol=1e-4)


def test_another_unit_and_invalid_values_are_as_if_conditioned_before() -> None:
    rng = np.random.default_rng(2)
    flux, error = rng.uniform(0.0, 9.0, (3, 40)).astype("f4"), rng.uniform(0.5, 2.0, (3, 40)).astype("f4")
    centre_L, inverse_L = rng.uniform(2.0, 5.0, (2, 40)).astype("f4")
    found = np.empty((2, *flux.shape), "f4")
    fill_moments(flux, error, centre_L, inverse_L, 1.5, *found)
    raw = np.empty_like(found)
    invalid = (1, 7), (2, 0)
    for place in invalid:
        flux[place] = error[place] = 0.0
        found[(slice(None), *place)] = 0.0  # as if the flux were that of the centre
    fill_moments(flux * np.float32(8.0), error * np.float32(8.0), centre_L, inverse_L, 1.5, *raw, factor=0.125)
    np.testing.assert_array_equal(raw, found)


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("array", ["flux", "error"])
def test_what_is_not_finite_is_as_an_error_of_zero(array: str, value: float) -> None:
    arrays = {"flux": np.full((1, 40), 3.0), "error": np.full((1, 40), 0.5)}
    expected = np.stack(moments(**arrays))
    arrays[array][0, 7] = value
    if array == "error" or not np.isfinite(value):
        expected[:, 0, 7] = 0.0
        np.testing.assert_array_equal(np.stack(moments(**arrays)), expected)
    else:
        assert np.stack(moments(**arrays))[1, 0, 7] > 0.0


def test_shapes_and_formats_are_checked() -> None:
    good = np.ones((2, 3), np.float32)
    line = np.ones(3, np.float32)
    with pytest.raises(ValueError, match="shapes"):
        fill_moments(good, good, line[:2], line, 1.0, good.copy(), good.copy())
    with pytest.raises(TypeError, match="float32"):
        fill_moments(good.astype(float), good, line, line, 1.0, good.copy(), good.copy())
