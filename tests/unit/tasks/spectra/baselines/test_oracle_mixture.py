"""The oracle mixture on spectra whose bins disagree."""

from pathlib import Path

import numpy as np
from baseline_roots import make_problem, spectra_of

from spectral_search.record.scores import r2
from spectral_search.tasks.spectra.baselines import oracle_mixture
from spectral_search.tasks.spectra.baselines import ridge_baseline as ridge
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra


def opposed(count: int, seed: int) -> Spectra:
    """A line that grows with log g in cool stars and shrinks in hot ones, so that no single linear model reads it."""
    rng = np.random.default_rng(seed)
    log_g_N, hot_N = rng.uniform(1.0, 5.0, count), rng.random(count) < 0.5
    sign_N = np.where(hot_N, -1.0, 1.0)
    flux_NL = 20.0 + (sign_N * (log_g_N - 3.0))[:, None] * np.sin(np.arange(24))
    t_eff_kelvin_N = np.where(hot_N, 5800.0, 4000.0)
    if seed == 1:
        t_eff_kelvin_N[:20] = 5000.0  # a thin bin
    return spectra_of(flux_NL, np.full_like(flux_NL, 0.5), log_g_N, t_eff_kelvin_N=t_eff_kelvin_N)


def test_the_mixture_knows_the_bin(tmp_path: Path) -> None:
    problem = make_problem(tmp_path, opposed(800, 1), opposed(300, 2), opposed(300, 3))
    truth = problem.labels["log_g"].to_numpy()
    assert r2(ridge.fit_predict(problem).predicted_DN[0], truth) < 0.1
    outcome = oracle_mixture.fit_predict(problem)
    assert r2(outcome.predicted_DN[0], truth) > 0.9
    assert len(outcome.facts["alpha"]) == 2
    assert outcome.warnings and "1 of the oracle mixture's bins hold fewer than 100" in outcome.warnings[0]
