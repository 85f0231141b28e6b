"""Noise drawn in components against noise drawn in pixels, and draws that follow from counters alone."""

import numpy as np
import pytest
import torch
from small_signal import COMPONENTS, simulated

from spectral_search.tasks.spectra.noise.clipped_moments import fill_moments
from spectral_search.tasks.spectra.signal.components import Components, ComponentSource
from spectral_search.tasks.spectra.signal.noise_covariance import ALLOWED_ERROR, SharedCovariance, share_covariance

CPU = torch.device("cpu")
DRAWS = 20_000
INVALID_ROW = 5
"""A spectrum with a value that is invalid in no other: the shared matrices do not know of it."""


def whitened_moments(level: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    flux_NL, error_NL, prep = simulated()
    centre_L, inverse_L = prep.centre_L.astype("f4"), prep.inverse_noise_L.astype("f4")
    mean_NL, variance_NL = np.empty_like(flux_NL), np.empty_like(flux_NL)
    fill_moments(flux_NL, error_NL, centre_L, inverse_L, level, mean_NL, variance_NL)
    return mean_NL, variance_NL


@pytest.fixture(scope="module")
def shared() -> SharedCovariance:
    return share_covariance(whitened_moments()[1], simulated()[2].directions_LK)


@pytest.fixture(scope="module")
def components(shared: SharedCovariance) -> Components:
    mean_NL, variance_NL = whitened_moments()
    count = len(mean_NL)
    directions_LK = simulated()[2].directions_LK
    mix_NR = shared.mix(variance_NL @ shared.weights_LR)
    labels = np.linspace(1.0, 5.0, count).astype("f4"), np.zeros(count, np.int64)
    return Components(mean_NL @ directions_LK, mix_NR, shared.factors_RKK, *labels, shared.error)


def pixel_draws(row: int) -> np.ndarray:
    """Components of one spectrum with its noise drawn in pixels, (DRAWS, K)."""
    flux_NL, error_NL, prep = simulated()
    rng = np.random.default_rng(11)
    found = []
    for _ in range(DRAWS // 1000):
        noise_BL = rng.standard_normal((1000, flux_NL.shape[1]), dtype=np.float32)
        noisy_BL = np.maximum(flux_NL[row] + error_NL[row] * noise_BL, 0.0)
        found.append(((noisy_BL - prep.centre_L) * prep.inverse_noise_L) @ prep.directions_LK)
    return np.concatenate(found)


def component_draws(components: Components, row: int) -> np.ndarray:
    one = Components(
        np.repeat(components.mean_NK[row : row + 1], DRAWS, 0),
        np.repeat(components.mix_NR[row : row + 1], DRAWS, 0),
        components.factors_RKK,
        np.zeros(DRAWS, "f4"),
        np.zeros(DRAWS, np.int64),
        0.0,
    )
    (batch,) = ComponentSource(one, CPU).epoch(1, 1, DRAWS)
    return batch.noisy(slice(0, DRAWS), (1, "noise", 1, 0)).numpy()


def signal_to_noise() -> np.ndarray:
    flux_NL, error_NL, _ = simulated()
    return np.median(np.divide(flux_NL, error_NL, out=np.zeros_like(flux_NL), where=error_NL > 0), axis=1)


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_both_ways_of_drawing_have_the_same_moments(components: Components, place: float) -> None:
    """Of the faintest, the median and the brightest spectrum."""
    order = np.argsort(signal_to_noise())
    row = int(order[int(place * (len(order) - 1))])
    ours_DK, theirs_DK = component_draws(components, row), pixel_draws(row)
    assert_same_means(ours_DK, theirs_DK)
    ours_KK, theirs_KK = np.cov(ours_DK.T), np.cov(theirs_DK.T)
    scale_KK = np.sqrt(np.outer(np.diag(theirs_KK), np.diag(theirs_KK)))
    assert (np.abs(ours_KK - theirs_KK) / scale_KK).max() < 5.0 * np.sqrt(2.0 / DRAWS) * np.sqrt(2.0) + 0.005


def assert_same_means(ours_DK: np.ndarray, theirs_DK: np.ndarray) -> None:
    error_K = theirs_DK.std(0) * np.sqrt(2.0 / DRAWS)
    assert (np.abs(ours_DK.mean(0) - theirs_DK.mean(0)) < 4.5 * error_K).all()


def test_an_invalid_value_moves_no_mean(components: Components) -> None:
    assert_same_means(component_draws(components, INVALID_ROW), pixel_draws(INVALID_ROW))


def test_the_faintest_is_faint_enough_for_clipping_to_matter() -> None:
    flux_NL, error_NL, prep = simulated()
    faint = int(np.argmin(signal_to_noise()))
    assert signal_to_noise()[faint] < 4.0
    part_L = flux_NL[faint] < error_NL[faint]
    assert (part_L & prep.valid_L).sum() >= 4


def test_shared_matrices_give_each_covariance(shared: SharedCovariance) -> None:
    assert shared.error <= ALLOWED_ERROR
    directions_LK = simulated()[2].directions_LK
    variance_NL = whitened_moments()[1]
    mix_NR = shared.mix(variance_NL @ shared.weights_LR)
    for row in (0, 17, 100):
        factor_KK = np.einsum("r,rij->ij", mix_NR[row], shared.factors_RKK)
        exact_KK = directions_LK.T @ (variance_NL[row][:, None] * directions_LK)
        off = np.linalg.norm(factor_KK @ factor_KK.T - exact_KK) / np.linalg.norm(exact_KK)
        assert off < 0.01


def test_without_noise_nothing_is_mixed() -> None:
    variance_NL = np.zeros((20, simulated()[0].shape[1]), np.float32)
    shared = share_covariance(variance_NL, simulated()[2].directions_LK)
    assert not shared.mix(variance_NL @ shared.weights_LR).any() or not shared.factors_RKK.any()


def test_a_draw_follows_from_its_place_in_the_batch_alone(components: Components) -> None:
    source = ComponentSource(components, CPU)
    batch = next(iter(source.epoch(3, 2, 100)))
    counter = (3, "noise", 2, 0)
    whole_BK = batch.noisy(slice(None), counter)
    torch.testing.assert_close(batch.noisy(slice(20, 50), counter), whole_BK[20:50], rtol=1e-5, atol=1e-5)
    assert not torch.equal(batch.noisy(slice(None), (3, "noise", 3, 0)), whole_BK)


def test_epochs_deliver_every_spectrum_once_in_another_order(components: Components) -> None:
    source = ComponentSource(components, CPU)
    orders = [torch.cat([batch.log_g_B for batch in source.epoch(1, epoch, 60)]) for epoch in (1, 2)]
    assert not torch.equal(*orders)
    for order in orders:
        np.testing.assert_array_equal(np.sort(order.numpy()), np.sort(components.log_g_N))
    assert len(list(source.epoch(1, 1, 60))) == source.steps(60)
    assert components.mean_NK.shape[1] == COMPONENTS
