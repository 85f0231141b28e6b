"""Baselines on components: their noise has the moments it should, and what they read is told."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_roots import make_problem, spectra_of
from small_dataset import make_spectra

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.baselines import ridge_baseline as ridge
from spectral_search.tasks.spectra.baselines.on_signal import SignalProblem, on_signal
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem
from spectral_search.tasks.spectra.baselines.signal_space import observe


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    folder = tmp_path_factory.mktemp("signal")
    return make_problem(
        folder, make_spectra(300, 1, pixels=96), make_spectra(60, 2, pixels=96), make_spectra(80, 3, pixels=96)
    )


def in_signal(problem: Problem) -> SignalProblem:
    held: list[Problem] = []

    def keep(inner: Problem) -> Outcome:
        held.append(inner)
        return Outcome(np.zeros((1, 1)))

    on_signal(keep)(problem)
    (inner,) = held
    assert isinstance(inner, SignalProblem)
    return inner


def test_noise_is_drawn_with_the_covariance_of_each_spectrum(problem: Problem) -> None:
    inner = in_signal(problem)
    train = inner.components.train
    # Unlike noise that is nearly the same in all directions, these factors are no symmetric matrices.
    turned_RKK = train.factors_RKK + 0.3 * np.random.default_rng(0).standard_normal(train.factors_RKK.shape)
    turned = replace(train, factors_RKK=turned_RKK.astype(np.float32))
    inner = replace(inner, components=replace(inner.components, train=turned))
    (block,) = inner.train_blocks()
    one = type(block)(*(np.repeat(getattr(block, f.name)[7:8], 20_000, 0) for f in fields(block)))
    noise_NK = inner.noisy(one, 0) - one.flux_NL
    exact_KK = inner.components.covariance(np.array([7]))[0]
    scale = np.trace(exact_KK) / len(exact_KK)
    np.testing.assert_allclose(np.cov(noise_NK.T), exact_KK, atol=0.05 * scale)
    together_KK = inner.noise_covariance(block)
    np.testing.assert_allclose(together_KK, inner.components.covariance(np.arange(300)).sum(0), rtol=1e-4, atol=1e-3)


def test_ridge_on_all_draws_is_what_many_draws_come_to(problem: Problem) -> None:
    inner = in_signal(problem)
    features = ridge.features_of(inner)
    expected, drawn = features.accumulator(), features.accumulator()
    (block,) = inner.train_blocks()
    features.add_expected(expected, block)
    for copy in range(40):
        features.add_noisy(drawn, inner.noisy(block, 1000 * copy), block.log_g_N)
    whole, many = (sums.solve([0.01 * sums.count])[0] for sums in (expected, drawn))
    assert torch.linalg.vector_norm(whole.weight_F - many.weight_F) < 0.05 * torch.linalg.vector_norm(whole.weight_F)


def test_the_level_of_the_noise_is_read_off_the_flux(problem: Problem) -> None:
    observed = observe(problem, problem.signal, 80)
    frozen = next(problem.evaluation())
    prep = problem.signal.prep
    variance_TL = np.square(frozen.error_NL * prep.inverse_noise_L)
    exact_T = np.log((variance_TL @ np.square(prep.directions_LK)).mean(1))
    # So many pixels lie outside.
    spread = np.sqrt(2.0 / (96 - prep.directions_LK.shape[1]))
    off_T = observed.log_noise_T - exact_T
    assert off_T.std() < 1.3 * spread and abs(off_T.mean()) < 0.5 * spread
    assert observed.invalid == 0.0 and len(observed.component_TK) == 80
    assert len(observe(problem, problem.signal, 30).log_noise_T) == 30


def test_flux_with_noise_of_its_own_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy(count: int) -> object:
        flux_NL = 20.0 + rng.standard_normal((count, 64))
        return spectra_of(flux_NL, np.ones_like(flux_NL), rng.uniform(1.0, 5.0, count))

    problem = make_problem(tmp_path, noisy(300), noisy(40))
    with pytest.raises(RequestError, match="use --input pixels"):
        on_signal(ridge.fit_predict)(problem)
