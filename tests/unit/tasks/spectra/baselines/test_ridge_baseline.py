"""Ridge against scikit-learn and Monte Carlo."""

from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_roots import make_problem
from sklearn.linear_model import Ridge
from small_dataset import make_spectra

from spectral_search.record.scores import r2
from spectral_search.tasks.spectra.baselines import ridge_baseline as ridge
from spectral_search.tasks.spectra.baselines.problem import Problem


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = tmp_path_factory.mktemp("linear")
    return make_problem(folder, make_spectra(600, 1), make_spectra(200, 2), make_spectra(200, 3))


def test_clipped_moments_are_those_of_many_draws() -> None:
    flux = torch.tensor([-1.0, 0.0, 0.5, 3.0, 100.0, 2.0, -2.0], dtype=torch.float64)
    sigma = torch.tensor([1.0, 2.0, 1.0, 1.5, 3.0, 0.0, 0.0], dtype=torch.float64)
    mean, variance = ridge.clipped_moments(flux, sigma)
    draws = np.random.default_rng(0).standard_normal((1_000_000, 7))
    drawn = np.clip(flux.numpy() + sigma.numpy() * draws, 0.0, None)
    np.testing.assert_allclose(mean.numpy(), drawn.mean(0), atol=0.01)
    np.testing.assert_allclose(variance.numpy(), drawn.var(0), rtol=0.01, atol=1e-9)


def test_one_noisy_copy_is_the_ridge_of_sklearn(problem: Problem) -> None:
    outcome = ridge.fit_predict(problem)
    block = next(problem.train_blocks())
    noisy_NL, test = problem.noisy(block, 0), next(problem.evaluation())
    scale_L = np.sqrt(problem.prep.noisy_var_L(1.0).astype(np.float64))
    peer = Ridge(alpha=outcome.facts["alpha"]).fit(noisy_NL / scale_L, block.log_g_N)
    np.testing.assert_allclose(outcome.predicted_DN[0], peer.predict(test.noisy_DNL[0] / scale_L), atol=1e-4)
    peers = [Ridge(alpha=600 * 10.0**p).fit(noisy_NL / scale_L, block.log_g_N) for p in range(-6, 3)]
    val = problem.val
    best = max(r2(peer.predict(val.noisy_DNL[0] / scale_L), val.log_g_N) for peer in peers)
    assert outcome.facts["val_r2"] >= best - 1e-6


def test_fresh_noise_is_worth_more_than_one_copy(tmp_path: Path) -> None:
    few = make_problem(
        tmp_path, make_spectra(100, 1, pixels=64), make_spectra(200, 2, pixels=64), make_spectra(400, 3, pixels=64)
    )
    outcome = ridge.fit_predict(few)
    one = r2(outcome.predicted_DN[0], few.labels["log_g"].to_numpy())
    assert one + 0.01 < outcome.facts["fresh_noise_r2"] < 1.0
