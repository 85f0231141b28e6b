"""Ridge regression on standardised pixels, fitted to one noisy copy of each training spectrum, or to all of them.

The baseline's number is of one copy, its noise drawn once, as LightGBM gets it and as published Ridge results are made.
A network sees fresh noise in every epoch, though, which is worth much to a linear model as well where spectra are few.
So the same Ridge on infinitely many noisy copies is told beside it (`fresh_noise_r2`); the oracle mixture is made of
such. Its normal equations are expectations over noise, in closed form: for x = clip(f + s N(0, 1), 0) with u = f / s,
phi and Phi the density and distribution of N(0, 1),

    E[x] = f Phi(u) + s phi(u)        E[x^2] = (f^2 + s^2) Phi(u) + f s phi(u)

and since the noise of two pixels is independent, E[X^T X] = E[X]^T E[X] + diag(sum Var[x]), E[X^T y] = E[X]^T y.
Both take one pass over the spectra, at memory that does not grow with their number.
Shape suffixes: B spectra of a block, L pixels, F features (the valid pixels), M predictions, A penalties, D draws.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from spectral_search.models.ridge_regression import RidgeAccumulator, RidgeSolution
from spectral_search.record.scores import r2
from spectral_search.tasks.spectra.baselines.on_signal import SignalProblem
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem
from spectral_search.tasks.spectra.training.dataset import Frozen, Labelled

_PENALTIES = tuple(10.0**power for power in range(-8, 3))
"""The grid of alpha per training spectrum, in units of a feature's variance; half a decade is tried about its best."""
_PREDICTED_ROWS = 1024


def fit_predict(problem: Problem) -> Outcome:
    """Ridge with the penalty that is best on val, on one noisy copy; as a fact, on infinitely many."""
    features = features_of(problem)
    drawn, expected = features.accumulator(), features.accumulator()
    first = 0
    for block in problem.train_blocks("ridge: training spectra"):
        features.add_noisy(drawn, problem.noisy(block, first), block.log_g_N)
        features.add_expected(expected, block)
        first += len(block)
    one, fresh = choose(drawn, features, problem.val), choose(expected, features, problem.val)
    one_parts, fresh_parts, truth = [], [], []
    for frozen in problem.evaluation():
        one_parts.append(features.predict(frozen, one.solution))
        fresh_parts.append(features.predict(frozen, fresh.solution))
        truth.append(np.broadcast_to(frozen.log_g_N, fresh_parts[-1].shape))
    fresh_r2 = r2(np.concatenate(fresh_parts, axis=1), np.concatenate(truth, axis=1))
    facts = {"alpha": one.alpha, "val_r2": one.val_r2, "fresh_noise_r2": fresh_r2, "fresh_noise_alpha": fresh.alpha}
    return Outcome(np.concatenate(one_parts, axis=1), facts=facts)


@dataclass(frozen=True)
class Choice:
    """A penalty, chosen on val."""

    alpha: float
    val_r2: float
    solution: RidgeSolution


class Features:
    """Pixels as a linear model sees them: valid ones, centred and scaled as the networks' default input, in float64."""

    def __init__(self, problem: Problem) -> None:
        prep, self._device = problem.prep, problem.device
        var_L = prep.noisy_var_L(problem.noise_level).astype(np.float64)
        (self._kept_F,) = np.nonzero(prep.valid_L & (var_L > 0))
        self._centre_F = self._tensor(prep.centre_L)
        self._scale_F = self._tensor(var_L).rsqrt()
        self._noise_level = problem.noise_level

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values[..., self._kept_F])).to(self._device).double()

    def accumulator(self) -> RidgeAccumulator:
        """Empty sums for these features."""
        return RidgeAccumulator(len(self._kept_F), self._device, torch.float64)

    def add_noisy(self, sums: RidgeAccumulator, noisy_BL: np.ndarray, log_g_B: np.ndarray) -> None:
        """Add noisy spectra."""
        x_BF = (self._tensor(noisy_BL) - self._centre_F) * self._scale_F
        sums.update(x_BF, torch.from_numpy(log_g_B).to(self._device))

    def add_expected(self, sums: RidgeAccumulator, spectra: Labelled) -> None:
        """Add noise-free spectra, in expectation over their noise."""
        flux_BF, sigma_BF = self._tensor(spectra.flux_NL), self._tensor(spectra.error_NL) * self._noise_level
        mean_BF, var_BF = clipped_moments(flux_BF, sigma_BF)
        x_BF = (mean_BF - self._centre_F) * self._scale_F
        log_g_B = torch.from_numpy(spectra.log_g_N).to(self._device)
        sums.update(x_BF, log_g_B, var_BF.sum(0) * self._scale_F**2)

    def products(self, noisy_NL: np.ndarray, weight_FA: torch.Tensor) -> np.ndarray:
        """Noisy spectra times weights, float64 of shape (N, A), some rows at a time."""
        parts = []
        for start in range(0, len(noisy_NL), _PREDICTED_ROWS):
            x_BF = (self._tensor(noisy_NL[start : start + _PREDICTED_ROWS]) - self._centre_F) * self._scale_F
            parts.append((x_BF @ weight_FA).cpu().numpy())
        return np.concatenate(parts)

    def predict(self, frozen: Frozen, solution: RidgeSolution) -> np.ndarray:
        """Predicted log g in dex of shape (D, N)."""
        weight_F1 = solution.weight_F[:, None]
        return np.stack([self.products(noisy_NL, weight_F1)[:, 0] for noisy_NL in frozen.noisy_DNL]) + solution.bias


class SignalFeatures(Features):
    """Components as a linear model sees them: scaled as the networks' input `signal`, in float64."""

    def __init__(self, problem: SignalProblem) -> None:
        self._problem, self._device = problem, problem.device
        self._kept_F = np.arange(len(problem.scale_K))
        self._scale_F = self._tensor(problem.scale_K)
        self._centre_F = torch.zeros_like(self._scale_F)

    def add_expected(self, sums: RidgeAccumulator, spectra: Labelled) -> None:
        """Add noise-free spectra, in expectation over their noise."""
        noise_FF = self._tensor(self._problem.noise_covariance(spectra)) * self._scale_F * self._scale_F[:, None]
        log_g_B = torch.from_numpy(spectra.log_g_N).to(self._device)
        sums.update(self._tensor(spectra.flux_NL) * self._scale_F, log_g_B, noise_FF)


def features_of(problem: Problem) -> Features:
    """Pixels, or components where the problem is in the subspace of the signal."""
    return SignalFeatures(problem) if isinstance(problem, SignalProblem) else Features(problem)


def clipped_moments(flux: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of clip(flux + sigma N(0, 1), 0), float64; without noise the clipped flux and 0."""
    u = flux / sigma.clamp(min=1e-300)
    below = torch.special.ndtr(u)
    density = torch.exp(-0.5 * u.clamp(-40.0, 40.0) ** 2) / math.sqrt(2.0 * math.pi)
    # In units of sigma: E[x] = u Phi + phi, and Var[x] from deviations from u, which are small where u is large.
    lift = density - u * torch.special.ndtr(-u)
    mean = torch.where(sigma > 0, flux + sigma * lift, flux.clamp(min=0.0))
    variance = sigma**2 * (below - u * density + u**2 * torch.special.ndtr(-u) - lift**2)
    return mean, torch.where(sigma > 0, variance, 0.0)


def choose(sums: RidgeAccumulator, features: Features, val: Frozen, penalties: Sequence[float] = _PENALTIES) -> Choice:
    """The penalty that is best on val, and its solution.

    Args:
        sums: Of the training spectra.
        features: How val spectra are seen.
        val: Frozen val spectra; all their draws count.
        penalties: Alpha per training spectrum.
    """
    best = _best(sums, features, val, penalties)
    if len(penalties) == 1:
        return best
    finer = [best.alpha / sums.count * factor for factor in (10.0**-0.5, 10.0**0.5)]
    return max(best, _best(sums, features, val, finer), key=lambda choice: choice.val_r2)


def _best(sums: RidgeAccumulator, features: Features, val: Frozen, penalties: Sequence[float]) -> Choice:
    solved = list(sums.solvable([penalty * sums.count for penalty in penalties]))
    weight_FA = torch.stack([solution.weight_F for _, solution in solved], 1)
    bias_A = np.array([solution.bias for _, solution in solved])
    predicted_MA = np.concatenate([features.products(noisy_NL, weight_FA) for noisy_NL in val.noisy_DNL]) + bias_A
    true_M = np.tile(val.log_g_N, len(val.noisy_DNL))
    values = [r2(predicted_M, true_M) for predicted_M in predicted_MA.T]
    best = int(np.argmax(values))
    return Choice(solved[best][0], values[best], solved[best][1])
