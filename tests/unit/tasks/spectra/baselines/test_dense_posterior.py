"""Posterior means over emulated templates against integrals over the labels, with the emulator known exactly."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from small_signal import simulated

from spectral_search.tasks.spectra.baselines import dense_posterior
from spectral_search.tasks.spectra.baselines.dense_posterior import Model
from spectral_search.tasks.spectra.baselines.label_prior import LabelPrior, NoisePrior
from spectral_search.tasks.spectra.baselines.signal_space import Observed, Signal
from spectral_search.tasks.spectra.signal.components import Components

COMPONENTS = 6
SLOPES_DK = np.random.default_rng(3).standard_normal((2, COMPONENTS))
LOW_D, RANGE_D = np.array([1.0, -1.0]), np.array([4.0, 2.0])


@dataclass(frozen=True)
class Exact:
    """Components that curve with the first label and grow with the second."""

    strength: float

    def __call__(self, label_BD: np.ndarray, log_noise: float) -> torch.Tensor:
        x_BD = (label_BD - LOW_D) / RANGE_D - 0.5
        curved_BD = np.column_stack([x_BD[:, 0] + 0.3 * x_BD[:, 0] ** 2, x_BD[:, 1]])
        return torch.from_numpy(self.strength * curved_BD @ SLOPES_DK).float()


def made(strength: float, spectra: int = 40, ratio: bool = False) -> tuple[Model, Observed, np.ndarray]:
    """A model, spectra of it at three levels of the noise, and their covariance at level 1."""
    rng = np.random.default_rng(1)
    root_KK = np.eye(COMPONENTS) + 0.2 * rng.standard_normal((COMPONENTS, COMPONENTS))
    covariance_KK = root_KK @ root_KK.T
    covariance_KK *= COMPONENTS / np.trace(covariance_KK)
    level_T = rng.choice([0.5, 1.0, 2.0], spectra)
    levels_N = np.repeat([0.5, 1.0, 2.0], 64)
    factor_KK = np.linalg.cholesky(covariance_KK).astype(np.float32)
    train = Components(
        np.zeros((192, COMPONENTS), np.float32),
        np.sqrt(levels_N)[:, None].astype(np.float32),
        factor_KK[None],
        np.zeros(192, np.float32),
        np.zeros(192, np.int64),
        0.0,
    )
    signal = Signal(simulated()[2], train, np.log(levels_N), np.array([1.0, 0.0]))
    place_N = np.linspace(0.0, 1.0, 100)[:, None]
    weights = (np.array([[1, 1]]), np.array([0.5])) if ratio else (np.zeros((0, 2), int), np.zeros(0))
    prior = LabelPrior(("log_g", "other"), LOW_D + RANGE_D * place_N, LOW_D + RANGE_D / 2, *weights, 0.0)
    noise = NoisePrior(np.zeros(6), (-3.0, 3.0), np.zeros(8))
    label_TD = LOW_D + RANGE_D * rng.random((spectra, 2))
    deviate_TK = rng.standard_normal((spectra, COMPONENTS)) @ factor_KK.T * np.sqrt(level_T)[:, None]
    component_TK = (Exact(strength)(label_TD, 0.0).numpy() + deviate_TK).astype(np.float32)
    observed = Observed(component_TK, np.log(level_T), 0.0)
    return Model(signal, Exact(strength), prior, noise), observed, covariance_KK


def integrated(model: Model, observed: Observed, covariance_KK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and variance of the first label, by sums over a fine grid."""
    side = (np.arange(200) + 0.5) / 200
    rank_MD = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    label_MD = LOW_D + RANGE_D * rank_MD
    mean_MK = model.emulator(label_MD, 0.0).double().numpy()
    inverse_KK = np.linalg.inv(covariance_KK)
    found = []
    for component_K, log_noise in zip(observed.component_TK, observed.log_noise_T, strict=True):
        off_MK = component_K - mean_MK
        log_M = -0.5 * ((off_MK @ inverse_KK) * off_MK).sum(1) / np.exp(log_noise) + model.prior.log_ratio(rank_MD)
        weight_M = np.exp(log_M - log_M.max())
        weight_M /= weight_M.sum()
        mean = weight_M @ label_MD[:, 0]
        found.append((mean, weight_M @ (label_MD[:, 0] - mean) ** 2))
    mean_T, variance_T = np.array(found).T
    return mean_T, variance_T


def quiet(title: str) -> object:
    return lambda done, total: None


@pytest.mark.parametrize(("strength", "ratio"), [(3.0, False), (3.0, True), (60.0, False)])
def test_the_integral_over_the_labels_is_met(strength: float, ratio: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_posterior, "TEMPLATES", 4096)
    model, observed, covariance_KK = made(strength, ratio=ratio)
    found = dense_posterior.dense_posterior(model, observed, 7, quiet)
    mean_T, variance_T = integrated(model, observed, covariance_KK)
    # By chance a mean is off by std / sqrt(effective templates).
    off_T = (found.mean_T - mean_T) / np.sqrt(variance_T / found.effective_T)
    assert np.sqrt(np.mean(off_T**2)) < 1.5 and np.abs(off_T).max() < 5.0
    np.testing.assert_allclose(found.variance_T.mean(), variance_T.mean(), rtol=0.03)


def test_spectra_that_few_templates_fit_get_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_posterior, "TEMPLATES", 4096)
    model, observed, covariance_KK = made(300.0)
    found = dense_posterior.dense_posterior(model, observed, 7, quiet)
    monkeypatch.setattr(dense_posterior, "REFINED_BELOW", 0.0)
    shared = dense_posterior.dense_posterior(model, observed, 7, quiet)
    assert np.median(shared.effective_T) < 5 and found.effective_T.min() > 100
    # So narrow a posterior is what the slopes at the labels say.
    slope_DK = 300.0 * SLOPES_DK / RANGE_D[:, None]
    bound = np.linalg.inv(slope_DK @ np.linalg.inv(covariance_KK) @ slope_DK.T)[0, 0]
    ratio_T = found.variance_T / (bound * np.exp(observed.log_noise_T))
    assert 0.4 < np.median(ratio_T) < 2.5
    assert found.loss < shared.loss or np.median(shared.variance_T) < 0.5 * np.median(found.variance_T)


def test_pieces_and_their_order_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_posterior, "TEMPLATES", 4096)
    monkeypatch.setattr(dense_posterior, "REFINED_BELOW", 0.0)
    model, observed, _ = made(3.0)
    whole = dense_posterior.dense_posterior(model, observed, 7, quiet)
    monkeypatch.setattr(dense_posterior, "PIECE_SPECTRA", 7)
    monkeypatch.setattr(dense_posterior, "BLOCK_TEMPLATES", 512)
    turned = replace(observed, component_TK=observed.component_TK[::-1], log_noise_T=observed.log_noise_T[::-1])
    parts = dense_posterior.dense_posterior(model, turned, 7, quiet)
    np.testing.assert_allclose(parts.mean_T[::-1], whole.mean_T, atol=5e-3)
