"""The posterior mean against cases with a known answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from baseline_roots import make_problem, spectra_of
from scipy.stats import norm

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.baselines import pixel_templates
from spectral_search.tasks.spectra.training.dataset import Labelled

PIXELS = 32
LINE_L = np.sin(np.arange(PIXELS) * 0.9)
LEVEL, SIGMA = 20.0, 1.0
PRIOR_STD_DEX = 0.7


def linear(count: int, seed: int, error: float = SIGMA) -> object:
    """flux = 20 + (log g - 3) line with constant error: posterior and ceiling are known in closed form."""
    log_g_N = np.random.default_rng(seed).normal(3.0, PRIOR_STD_DEX, count)
    flux_NL = LEVEL + (log_g_N[:, None] - 3.0) * LINE_L
    return spectra_of(flux_NL, np.full_like(flux_NL, error), log_g_N)


def templates(flux_BL: np.ndarray, error_BL: np.ndarray, log_g_B: np.ndarray) -> Labelled:
    return Labelled(*(np.asarray(array, np.float32) for array in (flux_BL, error_BL, log_g_B)), np.zeros(len(log_g_B)))


def observed(
    noisy_TL: np.ndarray, centre_L: np.ndarray, valid_TL: np.ndarray | None = None
) -> pixel_templates.Observed:
    noisy = torch.tensor(noisy_TL, dtype=torch.float32)
    valid = torch.ones_like(noisy, dtype=torch.bool) if valid_TL is None else torch.tensor(valid_TL)
    return pixel_templates.Observed(noisy, valid, torch.tensor(centre_L, dtype=torch.float32))


def test_linear_gaussian_posterior_is_the_analytic_one(tmp_path: Path) -> None:
    problem = make_problem(tmp_path, linear(8000, 1), linear(64, 2), linear(400, 3))
    outcome = pixel_templates.fit_predict(problem)
    precision = LINE_L @ LINE_L / SIGMA**2
    shrink = precision / (precision + 1.0 / PRIOR_STD_DEX**2)
    noisy_TL = next(problem.evaluation()).noisy_DNL[0] * problem.prep.flux_scale
    exact_T = 3.0 + shrink * ((noisy_TL - LEVEL) @ LINE_L) / (LINE_L @ LINE_L)
    dense_T = np.abs(exact_T - 3.0) < 2.0 * PRIOR_STD_DEX  # templates are rare in the wings of the prior
    np.testing.assert_allclose(outcome.predicted_DN[0][dense_T], exact_T[dense_T], atol=0.03)
    assert np.median(outcome.columns["log_g_std"]) == pytest.approx(PRIOR_STD_DEX * np.sqrt(1 - shrink), rel=0.05)
    # 1 - posterior variance / prior variance, in closed form.
    assert outcome.facts["upper_estimate"] == pytest.approx(shrink, abs=0.03)
    assert outcome.facts["effective_templates"] > 500 and outcome.warnings == ()


def test_a_hand_computed_case() -> None:
    flux_BL, log_g_B = np.array([[1.0, 4.0], [2.0, 4.0], [5.0, 1.0]]), np.array([1.0, 2.0, 5.0])
    noisy_TL, variance_TL = np.array([[2.0, 3.0]]), np.array([[1.0, 4.0]])
    # chi2: 1/1 + 1/4 = 1.25; 0 + 1/4 = 0.25; 9 + 4/4 = 10.
    weight_B = np.exp([-0.625, -0.125, -5.0])
    seen = observed(noisy_TL, np.array([3.0, 3.0]))
    a_TL, b_TL = pixel_templates.coefficients(seen, torch.tensor(variance_TL, dtype=torch.float32))
    d_BL = torch.tensor(flux_BL, dtype=torch.float32) - seen.centre_L
    sums = pixel_templates.WeightedSums(1, 1, torch.device("cpu"))
    for row in range(3):
        chi2_T1 = a_TL @ d_BL[row : row + 1].T + b_TL @ d_BL[row : row + 1].square().T
        sums.add(-0.5 * chi2_T1, torch.tensor(log_g_B[row : row + 1, None]))
    assert float(sums.mean_TK[0, 0]) == pytest.approx((weight_B * log_g_B).sum() / weight_B.sum(), rel=1e-6)
    assert float(sums.effective_T[0]) == pytest.approx(weight_B.sum() ** 2 / (weight_B**2).sum(), rel=1e-6)


def test_clipped_values_weigh_as_their_probability_does() -> None:
    rng = np.random.default_rng(0)
    centre_L, sigma = np.full(40, 0.8), 1.0
    flux_BL = centre_L + 0.15 * rng.standard_normal((50, 40))
    noisy_TL = np.clip(flux_BL[:20] + sigma * rng.standard_normal((20, 40)), 0.0, None)
    assert (noisy_TL == 0).mean() > 0.15
    log_TBL = np.where(
        noisy_TL[:, None] > 0, norm.logpdf(noisy_TL[:, None], flux_BL, sigma), norm.logcdf(-flux_BL / sigma)
    )
    exact_TB = np.exp(log_TBL.sum(2) - log_TBL.sum(2).max(1, keepdims=True))
    exact_TB /= exact_TB.sum(1, keepdims=True)
    a_TL, b_TL = pixel_templates.coefficients(observed(noisy_TL, centre_L), torch.full((20, 40), sigma**2))
    d_BL = torch.tensor(flux_BL - centre_L, dtype=torch.float32)
    weight_TB = torch.softmax(-0.5 * (a_TL @ d_BL.T + b_TL @ d_BL.square().T), 1).numpy()
    np.testing.assert_allclose(weight_TB, exact_TB, rtol=0.05, atol=1e-3)
    gaussian_TB = np.exp(norm.logpdf(noisy_TL[:, None], flux_BL, sigma).sum(2))
    gaussian_TB /= gaussian_TB.sum(1, keepdims=True)
    assert np.abs(gaussian_TB - exact_TB).max() > 5 * np.abs(weight_TB - exact_TB).max()


def test_the_noise_is_read_off_the_flux() -> None:
    rng = np.random.default_rng(1)
    scale_B = rng.uniform(0.5, 2.0, 2000)
    shape_L = 1.0 + 0.5 * np.cos(np.arange(200) * 0.1)
    flux_BL = np.full((2000, 200), 30.0)
    error_BL = scale_B[:, None] * shape_L
    sigma_TL = rng.uniform(1.1, 3.0, 50)[:, None] * shape_L
    noisy_TL = flux_BL[:50] + sigma_TL * rng.standard_normal((50, 200))
    other = templates(flux_BL, error_BL, np.zeros(2000))
    found_TL = pixel_templates.noise_variance(observed(noisy_TL, np.full(200, 30.0)), other, noise_level=2.0)
    ratio_TL = np.sqrt(found_TL.numpy()) / sigma_TL
    assert np.abs(np.log(ratio_TL.mean(1))).max() < 0.2
    assert ratio_TL.std(1).max() < 0.05


def test_magnitudes_do_not_thin_the_templates_out(tmp_path: Path) -> None:
    def spectra(count: int, seed: int) -> object:
        rng = np.random.default_rng(seed)
        log_g_N, error_N = rng.uniform(1.0, 5.0, count), rng.uniform(1.0, 4.0, count)
        flux_NL = 30.0 + (log_g_N[:, None] - 3.0) * np.tile(LINE_L, 8)
        return spectra_of(flux_NL, np.broadcast_to(error_N[:, None], flux_NL.shape), log_g_N)

    problem = make_problem(tmp_path, spectra(3000, 1), spectra(64, 2), spectra(300, 3))
    outcome = pixel_templates.fit_predict(problem)
    assert outcome.facts["effective_templates"] > 100
    # Only a hundredth of the templates has the noise level of an observed spectrum to 1%.
    assert outcome.facts["upper_estimate"] == pytest.approx(
        1 - np.mean((outcome.predicted_DN[0] - problem.labels["log_g"]) ** 2) / problem.labels["log_g"].var(), abs=0.03
    )


def test_invalid_values_say_nothing() -> None:
    noisy_TL = np.array([[2.0, 3.0, 9.0], [2.0, 3.0, -50.0]])
    valid_TL = np.array([[True, True, False]] * 2)
    seen = observed(noisy_TL, np.full(3, 3.0), valid_TL)
    a_TL, b_TL = pixel_templates.coefficients(seen, torch.ones(2, 3))
    assert not a_TL[:, 2].any() and not b_TL[:, 2].any()
    other = templates(np.full((4, 3), 3.0), [[1.0, 1.0, 0.0]] * 4, np.zeros(4))
    variance_TL = pixel_templates.noise_variance(seen, other, 1.0)
    assert torch.isfinite(variance_TL).all()
    torch.testing.assert_close(variance_TL[0], variance_TL[1])


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(tmp_path, linear(700, 1), linear(64, 2), linear(40, 3))
    whole = pixel_templates.fit_predict(problem)
    monkeypatch.setattr(pixel_templates, "_CELLS", 64 * 40)
    monkeypatch.setattr("spectral_search.tasks.spectra.baselines.problem.BLOCK_BYTES", 100 * 8 * PIXELS)
    parts = pixel_templates.fit_predict(problem)
    np.testing.assert_allclose(parts.predicted_DN, whole.predicted_DN, atol=2e-3)
    np.testing.assert_allclose(parts.facts["effective_templates"], whole.facts["effective_templates"], rtol=0.01)


def test_few_templates_are_warned_of_and_no_noise_is_refused(tmp_path: Path) -> None:
    problem = make_problem(tmp_path / "few", linear(30, 1, 0.01), linear(64, 2, 0.01), linear(40, 3, 0.01))
    (warning,) = pixel_templates.fit_predict(problem).warnings
    assert "lower bound" in warning and "effective templates of 30" in warning
    silent = make_problem(tmp_path / "silent", linear(30, 1), linear(64, 2), linear(40, 3), noise_level=0.0)
    with pytest.raises(RequestError, match="noise level 0"):
        pixel_templates.fit_predict(silent)
