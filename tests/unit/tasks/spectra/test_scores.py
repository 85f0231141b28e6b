"""Scores equal scikit-learn's, and the interval of R2 covers the truth."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from spectral_search.record.resampling import interval
from spectral_search.tasks.spectra.scores import R2, r2, scores


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
def test_scores_equal_sklearn(noise: float) -> None:
    rng = np.random.default_rng(0)
    true_M = rng.uniform(1, 5, 200).astype(np.float32)
    predicted_M = (true_M + rng.normal(0.1, noise, 200)).astype(np.float32)
    measured = scores(predicted_M, true_M)
    predicted_M, true_M = predicted_M.astype(np.float64), true_M.astype(np.float64)
    assert measured["r2"] == pytest.approx(r2_score(true_M, predicted_M), rel=1e-9)
    assert measured["mae_dex"] == pytest.approx(mean_absolute_error(true_M, predicted_M), rel=1e-9)
    assert measured["rmse_dex"] == pytest.approx(root_mean_squared_error(true_M, predicted_M), rel=1e-9)


def test_r2_over_draws_is_that_of_all_predictions() -> None:
    rng = np.random.default_rng(0)
    true_N = rng.uniform(1, 5, 50)
    predicted_DN = true_N + rng.normal(0, 0.5, (3, 50))
    assert r2(predicted_DN, np.broadcast_to(true_N, (3, 50))) == pytest.approx(
        r2_score(np.tile(true_N, 3), predicted_DN.ravel())
    )


@pytest.mark.parametrize("draws", [1, 4])
def test_interval_covers(draws: int) -> None:
    """95% intervals of 150 samples of 400 spectra: between 90% and 99% must hold the R2 of the population."""
    rng = np.random.default_rng(1)

    def sample(count: int) -> tuple[np.ndarray, np.ndarray]:
        true_N = rng.uniform(1, 5, count)
        own_N = rng.normal(0, 0.5, count)  # shared by all draws of a spectrum
        return true_N + own_N + rng.normal(0, 0.5, (draws, count)), true_N

    population_r2 = 1.0 - 0.5 / (16.0 / 12.0)
    covered, widths = 0, []
    for number in range(150):
        predicted_DN, true_N = sample(400)
        low, high = interval(R2, predicted_DN, true_N, seed=number, resamples=200)
        covered += low <= population_r2 <= high
        widths.append(high - low)
    assert 0.90 * 150 <= covered <= 0.99 * 150
    assert np.mean(widths) < 0.13


def test_interval_is_reproducible_and_holds_the_estimate() -> None:
    rng = np.random.default_rng(2)
    true_N = rng.uniform(1, 5, 300)
    predicted_DN = true_N + rng.normal(0, 0.5, (2, 300))
    found = interval(R2, predicted_DN, true_N, seed=7)
    assert found == interval(R2, predicted_DN, true_N, seed=7)
    assert found[0] < r2(predicted_DN, np.broadcast_to(true_N, (2, 300))) < found[1]
