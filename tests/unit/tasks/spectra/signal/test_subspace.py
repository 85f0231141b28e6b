"""Directions of the signal against a plain singular value decomposition, and the rules that count them."""

import numpy as np
import pytest

from spectral_search.tasks.spectra.signal.subspace import (
    enough_components,
    find_directions,
    is_noisy,
    outside_steps,
    whitened,
)


def signals(spectra: int, pixels: int = 300, directions: int = 6, seed: int = 0) -> np.ndarray:
    """Spectra of a few directions of very unlike strength, float32."""
    rng = np.random.default_rng(seed)
    basis_LK = np.linalg.qr(np.random.default_rng(99).standard_normal((pixels, directions)))[0]
    strength_K = 30.0 * 0.2 ** np.arange(directions)
    return ((rng.standard_normal((spectra, directions)) * strength_K) @ basis_LK.T).astype(np.float32)


@pytest.mark.parametrize("spectra", [40, 250, 1000])
def test_directions_are_the_right_singular_vectors(spectra: int) -> None:
    z_NL = signals(spectra) + np.float32(1e-3) * np.random.default_rng(3).standard_normal((spectra, 300)).astype("f4")
    found = find_directions(z_NL, seed=5)
    _, singular_Q, turn_QL = np.linalg.svd(z_NL.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(found.variance_Q[:6], (singular_Q**2 / spectra)[:6], rtol=1e-4)
    for mine_L, exact_L in zip(found.directions_LK.T[:5], turn_QL[:5], strict=True):
        assert abs(float(mine_L @ exact_L)) == pytest.approx(1.0, abs=1e-4)
    square_KK = found.directions_LK.T @ found.directions_LK
    np.testing.assert_allclose(square_KK, np.eye(found.components), atol=1e-5)


def test_directions_do_not_depend_on_the_random_start() -> None:
    one, other = (find_directions(signals(500), seed=seed).directions_LK[:, :5] for seed in (1, 2))
    np.testing.assert_allclose(np.abs((one * other).sum(0)), 1.0, atol=1e-4)


def test_components_are_counted_until_the_rest_sums_to_little() -> None:
    variance_Q = np.array([5.0, 1.0, 0.1, *[1e-3] * 3, *[1e-6] * 90])
    assert enough_components(variance_Q, 1.0) == 16
    assert enough_components(np.full(100, 1.0), 1.0) == 100
    # With a tenth of the noise a hundred times less may be left out.
    falling_Q = 10.0 * 0.7 ** np.arange(120)
    few, many = enough_components(falling_Q, 1.0), enough_components(falling_Q, 0.1)
    assert falling_Q[few:].sum() <= 0.004
    assert falling_Q[many:].sum() <= 0.00004
    assert few < many
    assert few % 16 == many % 16 == 0


@pytest.mark.parametrize("spectra", [100, 600])
def test_noisy_training_flux_is_told_from_noise_free(spectra: int) -> None:
    clean_NL = signals(spectra)
    noisy_NL = clean_NL + np.random.default_rng(4).standard_normal(clean_NL.shape).astype(np.float32)
    assert not is_noisy(find_directions(clean_NL, 1).variance_Q, spectra)
    assert is_noisy(find_directions(noisy_NL, 1).variance_Q, spectra)


def test_signal_outside_is_in_units_of_the_noise_of_one_direction() -> None:
    z_NL = signals(800)
    directions_LK = find_directions(z_NL, 1).directions_LK
    expected = float(np.square(30.0 * 0.2 ** np.arange(6))[3:].sum())
    assert outside_steps(z_NL.copy(), directions_LK[:, :3])[-1] == pytest.approx(expected, rel=0.2)
    assert outside_steps(z_NL.copy(), directions_LK[:, :6])[-1] < 1e-4


def test_whitened_spectra_are_zero_where_masked() -> None:
    flux_NL = np.array([[2.0, 5.0]], np.float32)
    np.testing.assert_array_equal(whitened(flux_NL, np.array([1.0, 1.0]), np.array([2.0, 0.0])), [[2.0, 0.0]])
