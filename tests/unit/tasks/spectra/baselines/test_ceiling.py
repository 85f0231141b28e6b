"""The ceiling as a whole: where everything is known in closed form, and where spectra cannot be emulated."""

from pathlib import Path

import numpy as np
import pytest
from baseline_roots import make_problem, spectra_of

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.baselines import ceiling, dense_posterior, emulator
from spectral_search.tasks.spectra.baselines.emulator import fit_emulator
from spectral_search.tasks.spectra.baselines.problem import Problem
from spectral_search.tasks.spectra.scores import r2

PIXELS = 64
LINE_L = 0.25 * np.sin(np.arange(PIXELS) * 0.9)
LEVEL = 20.0
PRIOR_STD_DEX = 0.7


def linear(count: int, seed: int, *, flux_noise: float = 0.0) -> object:
    """flux = 20 + (log g - 3) line with constant error 1: posterior and ceiling are known in closed form."""
    rng = np.random.default_rng(seed)
    log_g_N = rng.normal(3.0, PRIOR_STD_DEX, count)
    flux_NL = LEVEL + (log_g_N[:, None] - 3.0) * LINE_L + flux_noise * rng.standard_normal((count, PIXELS))
    return spectra_of(flux_NL, np.ones_like(flux_NL), log_g_N, m_h_N=rng.random(count))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "STEPS", 400)
    monkeypatch.setattr(dense_posterior, "TEMPLATES", 8192)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return make_problem(tmp_path_factory.mktemp("linear"), linear(1500, 1), linear(64, 2), linear(600, 3))


def test_both_bounds_meet_the_known_ceiling(problem: Problem) -> None:
    outcome = ceiling.fit_predict(problem)
    facts, true_T = outcome.facts, problem.labels["log_g"].to_numpy()
    precision = LINE_L @ LINE_L
    shrink = precision / (precision + 1.0 / PRIOR_STD_DEX**2)
    assert facts["labels"] == ["log_g"] and outcome.warnings == ()
    noisy_TL = next(problem.evaluation()).noisy_DNL[0] * problem.prep.flux_scale
    exact_T = 3.0 + shrink * ((noisy_TL - LEVEL) @ LINE_L) / precision
    assert np.sqrt(np.mean((outcome.predicted_DN[0] - exact_T) ** 2)) < 0.05
    assert r2(outcome.predicted_DN[0], true_T) == pytest.approx(r2(exact_T, true_T), abs=0.01)
    assert facts["upper_estimate"] == pytest.approx(1 - (1 - shrink) * PRIOR_STD_DEX**2 / true_T.var(), abs=0.02)
    assert facts["error_over_promise"] == pytest.approx(1.0, abs=4 * facts["error_over_promise_std"])
    assert facts["effective_templates"] > 300 and facts["emulator_error"] < 0.1
    # Without bias nothing is better than 1 / precision, wherever the star is.
    assert facts["fisher_median_dex"] == pytest.approx(precision**-0.5, rel=0.05)
    assert facts["fisher_r2"] < facts["upper_estimate"]


def test_the_emulator_tells_its_error_on_spectra_it_did_not_see() -> None:
    rng = np.random.default_rng(0)
    label_ND, log_noise_N = rng.random((2000, 2)), rng.uniform(-1.0, 1.0, 2000)

    def components(label_ND: np.ndarray, log_noise_N: np.ndarray) -> np.ndarray:
        x_N, y_N = label_ND.T
        return np.column_stack([8 * np.tanh(4 * x_N - 2), x_N * y_N, 0.2 * np.exp(log_noise_N)]).astype(np.float32)

    quiet = lambda title: lambda done, total: None  # noqa: E731
    found = fit_emulator(label_ND, log_noise_N, components(label_ND, log_noise_N), 1, quiet)
    other_ND, other_N = rng.random((500, 2)), rng.uniform(-1.0, 1.0, 500)
    off_NK = found(other_ND, other_N).numpy() - components(other_ND, other_N)
    measured = np.sqrt(np.mean(np.square(off_NK).sum(1) * np.exp(-other_N)))
    assert found.error == pytest.approx(measured, rel=0.5) and found.error < 0.3
    slope_NKD = found.slopes(np.array([[0.5, 0.3]]), np.zeros(1))
    assert slope_NKD[0, 0, 0] == pytest.approx(32.0, rel=0.1) and slope_NKD[0, 1, 1] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("train", "noise", "said"),
    [(300, 0.0, "300 are too few to emulate"), (1200, 1.0, "it holds noise of its own")],
)
def test_where_spectra_cannot_be_emulated_those_of_the_training_set_serve(
    tmp_path: Path, train: int, noise: float, said: str
) -> None:
    spectra = linear(train, 1, flux_noise=noise)
    problem = make_problem(tmp_path, spectra, linear(64, 2), linear(40, 3))
    outcome = ceiling.fit_predict(problem)
    assert said in outcome.warnings[0] and "templates are the training spectra themselves" in outcome.warnings[0]
    assert outcome.facts["templates"] == train and "emulator_error" not in outcome.facts


def test_spectra_that_log_g_does_not_move_are_not_emulated(tmp_path: Path) -> None:
    def unmoved(count: int, seed: int) -> object:
        rng = np.random.default_rng(seed)
        m_h_N = rng.random(count)
        flux_NL = LEVEL + 3 * m_h_N[:, None] * LINE_L
        return spectra_of(flux_NL, np.ones_like(flux_NL), rng.normal(3.0, 0.7, count), m_h_N=m_h_N)

    problem = make_problem(tmp_path, unmoved(1200, 1), unmoved(64, 2), unmoved(40, 3))
    assert "log g makes no difference" in ceiling.fit_predict(problem).warnings[0]


def test_an_emulator_that_errs_is_not_used(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "WORST_ERROR", 1e-6)
    assert "an emulator of log_g misses held-out spectra by" in ceiling.fit_predict(problem).warnings[0]


def test_no_noise_is_refused(tmp_path: Path) -> None:
    silent = make_problem(tmp_path, linear(30, 1), linear(64, 2), linear(40, 3), noise_level=0.0)
    with pytest.raises(RequestError, match="noise level 0"):
        ceiling.fit_predict(silent)
