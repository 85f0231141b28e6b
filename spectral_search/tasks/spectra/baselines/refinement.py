"""Templates of a spectrum's own, where those that serve all are too few: drawn about where its posterior lies.

In the space of ranks, in which labels that are drawn independently fill the unit cube evenly, a proposal is Student's t
distribution with some mean and covariance. What falls outside of the cube is no star and has no weight; a weight is the
posterior density over the proposal's, and how much of the proposal lies inside cancels. The proposal is fitted twice:
to the weights themselves, or to a power of them that leaves enough effective templates to fit anything to. The last
round alone is what counts (population Monte Carlo; Cappe et al. 2004).
Shape suffixes: P spectra of a piece, S templates of each, K components, D labels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_ROUNDS = (512, 512, 1024)
"""Templates of each spectrum, round by round."""
_FITTED_TO = 40.0
"""Effective templates that a covariance of a handful of labels is taken from."""
_FREEDOM = 5.0
_WIDER = 1.5
"""Proposals are wider than what they are fitted to: tails that are missed are missed unnoticed."""
_FLOOR = 1e-4
"""Standard deviation of a rank, at least."""

LogDensity = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From ranks (P, S, D) to the log of the posterior density there and to log g, both float64 (P, S)."""


def refined(
    density: LogDensity, mean_PD: Tensor, covariance_PDD: Tensor, draws: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior mean and variance of log g and effective templates of some spectra, float64 (P,) each.

    Args:
        density: See `LogDensity`.
        mean_PD: Where to begin, float64.
        covariance_PDD: How widely.
        draws: Random numbers.
    """
    # These only shape the proposals: what is told comes from the last draws, which did not choose their own.
    for count in _ROUNDS[:-1]:
        rank_PSD, log_weight_PS, _ = _round(density, mean_PD, covariance_PDD, count, draws)
        weight_PS = _tempered(log_weight_PS)
        mean_PD, covariance_PDD = _moments(rank_PSD, weight_PS)
    _, log_weight_PS, log_g_PS = _round(density, mean_PD, covariance_PDD, _ROUNDS[-1], draws)
    weight_PS = torch.softmax(log_weight_PS, 1)
    first_P = (weight_PS * log_g_PS).sum(1)
    variance_P = (weight_PS * (log_g_PS - first_P[:, None]).square()).sum(1)
    return first_P, variance_P, weight_PS.square().sum(1).reciprocal()


def _round(
    density: LogDensity, mean_PD: Tensor, covariance_PDD: Tensor, count: int, draws: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw from the proposals: ranks, log weights and log g."""
    spectra, labels = mean_PD.shape
    factor_PDD = torch.linalg.cholesky(covariance_PDD)
    normal_PSD = torch.randn(spectra, count, labels, generator=draws, dtype=torch.float64)
    square_PS = torch.zeros(spectra, count, dtype=torch.float64)
    for _ in range(int(_FREEDOM)):
        square_PS += torch.randn(spectra, count, generator=draws, dtype=torch.float64).square()
    # Student's t: were the tails lighter than the posterior's, a few far draws could carry all the weight.
    deviate_PSD = normal_PSD * torch.sqrt(_FREEDOM / square_PS)[:, :, None]
    rank_PSD = mean_PD[:, None] + deviate_PSD @ factor_PDD.mT
    # One draw is the mean, moved into the cube, so that none is without a template.
    rank_PSD[:, 0], deviate_PSD[:, 0] = mean_PD.clamp(0.0, 1.0), 0.0
    inside_PS = ((rank_PSD >= 0.0) & (rank_PSD <= 1.0)).all(2)
    log_density_PS, log_g_PS = density(rank_PSD.clamp(0.0, 1.0))
    # Without what all draws of a spectrum have in common: weights are normalised.
    log_proposal_PS = -0.5 * (_FREEDOM + labels) * torch.log1p(deviate_PSD.square().sum(2) / _FREEDOM)
    log_weight_PS = torch.where(inside_PS, log_density_PS - log_proposal_PS, -torch.inf)
    return rank_PSD, log_weight_PS, log_g_PS


def _tempered(log_weight_PS: Tensor) -> Tensor:
    """Weights to the largest power up to 1 that leaves `_FITTED_TO` effective templates, normalised."""
    least_P = torch.zeros(len(log_weight_PS), dtype=torch.float64)
    most_P = torch.ones_like(least_P)
    if bool((_effective(log_weight_PS) >= _FITTED_TO).all()):
        return torch.softmax(log_weight_PS, 1)
    for _ in range(20):
        middle_P = 0.5 * (least_P + most_P)
        enough_P = _effective(_power(log_weight_PS, middle_P)) >= _FITTED_TO
        least_P, most_P = torch.where(enough_P, middle_P, least_P), torch.where(enough_P, most_P, middle_P)
    whole_P = _effective(log_weight_PS) >= _FITTED_TO
    return torch.softmax(_power(log_weight_PS, torch.where(whole_P, 1.0, least_P)), 1)


def _power(log_weight_PS: Tensor, power_P: Tensor) -> Tensor:
    # No power makes a template of what lies outside, not even the zeroth.
    return torch.where(torch.isfinite(log_weight_PS), log_weight_PS * power_P[:, None], -torch.inf)


def _effective(log_weight_PS: Tensor) -> Tensor:
    return torch.softmax(log_weight_PS, 1).square().sum(1).reciprocal()


def _moments(rank_PSD: Tensor, weight_PS: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean, and the covariance that the next proposal has."""
    mean_PD = (weight_PS[:, :, None] * rank_PSD).sum(1)
    off_PSD = rank_PSD - mean_PD[:, None]
    covariance_PDD = off_PSD.mT @ (weight_PS[:, :, None] * off_PSD)
    return mean_PD, widened(covariance_PDD)


def widened(covariance_PDD: Tensor, floor: float = _FLOOR) -> Tensor:
    """A proposal's covariance from the posterior's."""
    return _WIDER * covariance_PDD + floor**2 * torch.eye(covariance_PDD.shape[1], dtype=torch.float64)
