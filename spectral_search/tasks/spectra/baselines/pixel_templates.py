"""The posterior mean E[log g | noisy spectrum]: what no predictor that sees the flux can beat on average.

The training set's noise-free spectra serve as templates t, each as likely as any other before the data. The noise
model gives x_l = clip(f_tl + s_tl N(0, 1), 0), where s = noise_level * error belongs to the star that is observed, so

    -2 log p(x | t) = sum_l (x_l - f_tl)^2 / s_tl^2 + 2 log s_tl        over valid, unmasked pixels l.

Taken at its word, this asks for a template of the right magnitude as well: 4096 pixels show the noise level to 1%, and
of 32k templates between magnitudes 20.5 and 22.5 only some tens are that near. The noise-free flux does not depend on
the magnitude, so one template serves all magnitudes once the noise is known, and the flux shows the noise:

1. With the likelihood above and some thousand templates, the posterior mean of s_l^2 given x: the noise of this
   spectrum as the flux alone shows it. The observed error array is not used: it would give log g away, and networks
   do not see it.
2. With that s for all templates, -2 log p(x | t) = sum_l (x_l - f_tl)^2 / s_l^2 + const; the log-determinant is the
   same for all. Weights are exp(-chi2 / 2). A value clipped at 0 has -2 log Phi(-f_tl / s_l) in place of its square,
   taken to second order in f_t about the mean spectrum.

What comes out is a function of the flux and the training set alone. So its R2 on test spectra is **at most** the true
ceiling, as any predictor's, and approaches it as templates become dense. Its own spread tells the other side: 1 -
mean(posterior variance) / var(log g) is what a right posterior would reach, and is too high where few templates carry
the weight. Where both agree and the effective number of templates, 1 / sum w^2, is well above 1, the ceiling is known.

Both steps are products of matrices: with d = f_t - c about the mean spectrum c, chi2 = sum a d + b d^2, where
a = -2 (x - c) / s^2 and b = 1 / s^2. Centring keeps the terms small enough for float32. Invalid values of the observed
spectrum have a = b = 0; those of a template hold the mean spectrum.
Shape suffixes: T observed spectra, B templates of a block, L pixels.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem
from spectral_search.tasks.spectra.training.dataset import Labelled

MOST_SPECTRA = 10_000
"""Observed spectra that are looked at: the standard error of R2 is then below 0.007."""
_NOISE_TEMPLATES = 8192
_TRUSTED_TEMPLATES = 10.0
_CELLS = 1 << 22
"""Weights computed at a time: 16 MB in float32."""


def fit_predict(problem: Problem) -> Outcome:
    """Posterior mean of the evaluation spectra, at most the first 10,000, the first draw of each.

    Raises:
        RequestError: There is no noise, so that chi2 is not defined.
    """
    if problem.noise_level == 0.0:
        raise RequestError("The ceiling needs noise: at noise level 0 the flux is known exactly and chi2 is undefined.")
    noisy_TL, error_TL = _observed(problem)
    centre_L = torch.from_numpy(problem.prep.centre_L).to(problem.device)
    observed = Observed(noisy_TL.to(problem.device), (error_TL > 0).to(problem.device), centre_L)
    variance_TL = noise_variance(observed, _some_templates(problem), problem.noise_level)
    a_TL, b_TL = coefficients(observed, variance_TL)
    posterior = WeightedSums(len(noisy_TL), 2, problem.device)
    for block in problem.train_blocks("ceiling: templates"):
        for part in _parts(block, len(noisy_TL)):
            d_BL = torch.from_numpy(part.flux_NL).to(problem.device) - centre_L
            chi2_TB = torch.addmm(a_TL @ d_BL.T, b_TL, d_BL.square().T)
            log_g_B = torch.from_numpy(part.log_g_N).to(problem.device).double()
            posterior.add(-0.5 * chi2_TB, torch.stack([log_g_B, log_g_B**2], 1))
    return _outcome(problem, posterior)


class Observed:
    """Noisy spectra, float32 (T, L), which of their values are valid, and the mean spectrum that all is centred on."""

    def __init__(self, noisy_TL: torch.Tensor, valid_TL: torch.Tensor, centre_L: torch.Tensor) -> None:
        self.noisy_TL, self.valid_TL, self.centre_L = noisy_TL, valid_TL, centre_L

    def __len__(self) -> int:
        return len(self.noisy_TL)


class WeightedSums:
    """Sums of values with weights exp(log weight), added up block by block; the largest log weight is factored out.

    Args:
        rows: Observed spectra T.
        values: Columns K of the values.
        device: Where the sums lie.
    """

    def __init__(self, rows: int, values: int, device: torch.device) -> None:
        self._largest_T = torch.full((rows,), -math.inf, dtype=torch.float64, device=device)
        self._sum_T = torch.zeros(rows, dtype=torch.float64, device=device)
        self._square_T = torch.zeros_like(self._sum_T)
        self._values_TK = torch.zeros(rows, values, dtype=torch.float64, device=device)

    def add(self, log_weight_TB: torch.Tensor, values_BK: torch.Tensor) -> None:
        """Add templates: their log weights for each observed spectrum, and their values."""
        largest_T = torch.maximum(self._largest_T, log_weight_TB.amax(1).double())
        shrink_T = torch.exp(self._largest_T - largest_T)
        weight_TB = torch.exp(log_weight_TB.double() - largest_T[:, None])
        self._sum_T = self._sum_T * shrink_T + weight_TB.sum(1)
        self._square_T = self._square_T * shrink_T**2 + weight_TB.square().sum(1)
        self._values_TK = self._values_TK * shrink_T[:, None] + weight_TB @ values_BK.double()
        self._largest_T = largest_T

    @property
    def mean_TK(self) -> torch.Tensor:
        """Weighted means of the values."""
        return self._values_TK / self._sum_T[:, None]

    @property
    def effective_T(self) -> torch.Tensor:
        """Effective number of templates, (sum w)^2 / sum w^2."""
        return self._sum_T**2 / self._square_T


def noise_variance(observed: Observed, templates: Labelled, noise_level: float) -> torch.Tensor:
    """Posterior mean of each value's noise variance given the flux alone, float32 (T, L); step 1 above.

    Clipping is left out here: it moves the noise by less than the grid of templates does.
    """
    device = observed.noisy_TL.device
    sums = WeightedSums(len(observed), observed.noisy_TL.shape[1], device)
    x_TL = torch.where(observed.valid_TL, observed.noisy_TL - observed.centre_L, 0.0)
    for part in _parts(templates, len(observed)):
        variance_BL = (torch.from_numpy(part.error_NL).to(device) * noise_level).square()
        # Where a template has no error of its own it has the mean one of the others: it must say something everywhere.
        known_BL = variance_BL > 0
        mean_L = variance_BL.sum(0) / known_BL.sum(0).clamp(min=1)
        variance_BL = torch.where(known_BL, variance_BL, torch.where(mean_L > 0, mean_L, 1.0))
        d_BL, inverse_BL = torch.from_numpy(part.flux_NL).to(device) - observed.centre_L, variance_BL.reciprocal()
        constant_BL = d_BL.square() * inverse_BL + variance_BL.log()
        minus2_TB = x_TL.square() @ inverse_BL.T - 2.0 * (x_TL @ (d_BL * inverse_BL).T)
        minus2_TB += observed.valid_TL.float() @ constant_BL.T
        sums.add(-0.5 * minus2_TB, variance_BL)
    return sums.mean_TK.float()


def coefficients(observed: Observed, variance_TL: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """a and b of -2 log p(x | t) = sum a d + b d^2 + const, float32 (T, L); step 2 above."""
    sigma_TL = variance_TL.sqrt()
    a_TL, b_TL = -2.0 * (observed.noisy_TL - observed.centre_L) / variance_TL, variance_TL.reciprocal()
    # A clipped value: -2 log Phi(-u) about u = c / s, of slope 2 r and curvature 2 r (r - u), r = phi(u) / Phi(-u).
    u_TL = observed.centre_L / sigma_TL
    # In logarithms: far above the noise phi(u) and Phi(-u) both underflow.
    ratio_TL = torch.exp(-0.5 * u_TL**2 - torch.special.log_ndtr(-u_TL)) / math.sqrt(2.0 * math.pi)
    clipped_TL = observed.noisy_TL == 0.0
    a_TL = torch.where(clipped_TL, 2.0 * ratio_TL / sigma_TL, a_TL)
    b_TL = torch.where(clipped_TL, ratio_TL * (ratio_TL - u_TL) / variance_TL, b_TL)
    return torch.where(observed.valid_TL, a_TL, 0.0), torch.where(observed.valid_TL, b_TL, 0.0)


def _observed(problem: Problem) -> tuple[torch.Tensor, torch.Tensor]:
    noisy, error, held = [], [], 0
    for frozen in problem.evaluation():
        noisy.append(frozen.noisy_DNL[0][: MOST_SPECTRA - held])
        error.append(frozen.error_NL[: MOST_SPECTRA - held])
        held += len(noisy[-1])
        if held >= MOST_SPECTRA:
            break
    return torch.from_numpy(np.concatenate(noisy)), torch.from_numpy(np.concatenate(error))


def _some_templates(problem: Problem) -> Labelled:
    """About `NOISE_TEMPLATES` training spectra from blocks spread over all of them."""
    ranges = problem.train_ranges
    wanted = math.ceil(len(ranges) * min(1.0, _NOISE_TEMPLATES / len(problem.train)))
    spread = np.unique(np.linspace(0, len(ranges) - 1, wanted).round().astype(int))
    held = list(problem.train_blocks(ranges=[ranges[index] for index in spread]))
    names = ("flux_NL", "error_NL", "log_g_N", "bin_N")
    return Labelled(*(np.concatenate([getattr(block, name) for block in held]) for name in names))


def _parts(templates: Labelled, observed: int) -> Iterator[Labelled]:
    step = max(64, _CELLS // observed)
    for start in range(0, len(templates), step):
        rows = slice(start, start + step)
        arrays = (templates.flux_NL, templates.error_NL, templates.log_g_N, templates.bin_N)
        yield Labelled(*(array[rows] for array in arrays))


def _outcome(problem: Problem, posterior: WeightedSums) -> Outcome:
    mean_T, second_T = posterior.mean_TK.cpu().numpy().T
    # A difference of near numbers, which rounding may bring below 0.
    variance_T = np.maximum(second_T - mean_T**2, 0.0)
    effective_T = posterior.effective_T.cpu().numpy()
    true_T = problem.labels["log_g"].to_numpy(np.float64)[: len(mean_T)]
    effective, implied = float(np.median(effective_T)), float(1.0 - variance_T.mean() / true_T.var())
    warnings = []
    if effective < _TRUSTED_TEMPLATES:
        warnings.append(
            f"The ceiling rests on a median of {effective:.1f} effective templates of {len(problem.train):,}, too few "
            f"to trust: the R2 reached is a lower bound of the true ceiling, and {implied:.3f}, what the posteriors' "
            "own spread promises, is too high. More training spectra bring the two together."
        )
    return Outcome(
        mean_T[None],
        columns={"log_g_std": np.sqrt(variance_T), "effective_templates": effective_T},
        facts={"effective_templates": effective, "upper_estimate": implied, "templates": len(problem.train)},
        warnings=tuple(warnings),
    )
