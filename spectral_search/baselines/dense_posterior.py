"""Posterior means over as many templates as it takes: labels drawn from their distribution, spectra by an emulator.

Evaluation spectra are sorted by their noise and worked on in pieces that share a covariance, up to a scale, and the
emulator's means, which noise shifts a little where it is clipped at 0. A block of templates is emulated at a few levels
of the noise and interpolated between them. Then a weight costs K products, and memory is one block and one piece,
however many templates there are. Templates come in rounds; what is lost by their number, about posterior variance /
effective templates for each spectrum, decides after each whether another is drawn.
Shape suffixes: T evaluation spectra, P of a piece, B templates of a block, U levels of the noise, K components, D
labels.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from spectral_search.baselines.emulator import Emulator
from spectral_search.baselines.label_prior import LabelPrior, NoisePrior
from spectral_search.baselines.problem import Told
from spectral_search.baselines.signal_space import Observed, Signal
from spectral_search.models.threads import for_each

ROUND_TEMPLATES = 1 << 16
MOST_TEMPLATES = 1 << 20
ALLOWED_LOSS = 5e-4
"""R2 that the number of templates may cost; below, no more are drawn."""
BLOCK_TEMPLATES = 4096
PIECE_SPECTRA = 128
_LEVELS = 4


@dataclass(frozen=True)
class Posterior:
    """What the templates say of each evaluation spectrum.

    Attributes:
        mean_T: Posterior mean of log g, dex.
        variance_T: Posterior variance, dex^2.
        effective_T: Effective number of templates, (sum w)^2 / sum w^2.
        templates: How many were drawn.
    """

    mean_T: np.ndarray
    variance_T: np.ndarray
    effective_T: np.ndarray
    templates: int

    @property
    def loss(self) -> float:
        """Mean squared error that is owed to the number of templates, dex^2, about."""
        return float((self.variance_T / self.effective_T).mean())


@dataclass(frozen=True)
class Model:
    """What makes a template and weighs it.

    Attributes:
        signal: Covariances of the noise.
        emulator: Labels to components.
        prior: Labels as the training set has them.
        noise: The level of the noise, given the labels.
    """

    signal: Signal
    emulator: Emulator
    prior: LabelPrior
    noise: NoisePrior


def dense_posterior(model: Model, observed: Observed, seed: int, told: Told) -> Posterior:
    """Draw templates until their number costs too little to be seen, or there are `MOST_TEMPLATES`."""
    sums, drawn = _Sums(model, observed), 0
    sobol = torch.quasirandom.SobolEngine(len(model.prior.names), scramble=True, seed=seed % 2**31)
    tell, log_g = told("ceiling: templates"), model.prior.names.index("log_g")
    while True:
        for _ in range(0, ROUND_TEMPLATES, BLOCK_TEMPLATES):
            rank_BD = sobol.draw(BLOCK_TEMPLATES, dtype=torch.float64).numpy()
            label_BD = model.prior.labels(rank_BD)
            sums.add(rank_BD, label_BD, label_BD[:, log_g])
            drawn += BLOCK_TEMPLATES
            tell(drawn, MOST_TEMPLATES)
        found = sums.posterior(drawn)
        if drawn >= MOST_TEMPLATES or found.loss < ALLOWED_LOSS * sums.variance:
            tell(MOST_TEMPLATES, MOST_TEMPLATES)
            return found


@dataclass(frozen=True)
class _Piece:
    """Evaluation spectra that are alike in noise.

    Attributes:
        rows_P: Which ones.
        whiten_KK: Times a difference of components gives deviates of variance 1.
        whitened_PK: The spectra so.
        scale_P: Noise of the piece over that of each spectrum, as variances.
        log_noise: Of the piece.
        share_U: What the levels of the noise contribute to the means.
    """

    rows_P: Tensor
    whiten_KK: Tensor
    whitened_PK: Tensor
    scale_P: Tensor
    log_noise: float
    share_U: Tensor


class _Sums:
    """Sums over templates for each evaluation spectrum; the largest log weight so far is factored out."""

    def __init__(self, model: Model, observed: Observed) -> None:
        self._model = model
        count = len(observed.component_TK)
        self._largest_T = torch.full((count,), -torch.inf, dtype=torch.float64)
        self._square_T = torch.zeros(count, dtype=torch.float64)
        self._moment_T3 = torch.zeros(count, 3, dtype=torch.float64)
        self._shift = float(model.prior.mean("log_g"))
        self.variance = float(model.prior.variance("log_g"))
        self._levels_U = _chebyshev(float(observed.log_noise_T.min()), float(observed.log_noise_T.max()))
        order_T = np.argsort(observed.log_noise_T, kind="stable")
        bounds = [*range(0, count, PIECE_SPECTRA), count]
        self._pieces = [self._piece(observed, order_T[start:stop]) for start, stop in pairwise(bounds)]

    def _piece(self, observed: Observed, rows_P: np.ndarray) -> _Piece:
        log_noise = float(observed.log_noise_T[rows_P].mean())
        factor_KK = np.linalg.cholesky(self._model.signal.typical_covariance(log_noise))
        whiten_KK = torch.from_numpy(np.linalg.inv(factor_KK).T.astype(np.float32)).contiguous()
        return _Piece(
            torch.from_numpy(rows_P),
            whiten_KK,
            torch.from_numpy(observed.component_TK[rows_P]) @ whiten_KK,
            torch.from_numpy(np.exp(log_noise - observed.log_noise_T[rows_P]).astype(np.float32)),
            log_noise,
            torch.from_numpy(_lagrange(self._levels_U, log_noise).astype(np.float32)),
        )

    def add(self, rank_BD: np.ndarray, label_BD: np.ndarray, log_g_B: np.ndarray) -> None:
        """Add a block of templates."""
        mean_UBK = torch.stack([self._model.emulator(label_BD, float(level)) for level in self._levels_U])
        deviation_B = torch.from_numpy(log_g_B - self._shift)
        value_B3 = torch.stack([torch.ones_like(deviation_B), deviation_B, deviation_B.square()], 1)
        log_ratio_B = torch.from_numpy(self._model.prior.log_ratio(rank_BD).astype(np.float32))
        expected_B = self._model.noise.expected(rank_BD)
        for_each(partial(self._add, mean_UBK, value_B3, log_ratio_B, expected_B), self._pieces)

    def _add(
        self, mean_UBK: Tensor, value_B3: Tensor, log_ratio_B: Tensor, expected_B: np.ndarray, piece: _Piece
    ) -> None:
        mean_BK = torch.tensordot(piece.share_U, mean_UBK, 1) @ piece.whiten_KK
        # A chi2 less what all templates share; its scale is the spectrum's own.
        constant_B = -0.5 * mean_BK.square().sum(1)
        log_weight_PB = torch.addmm(constant_B, piece.whitened_PK, mean_BK.T).mul_(piece.scale_P[:, None])
        noise_B = self._model.noise.log_density(piece.log_noise - expected_B)
        log_weight_PB += log_ratio_B + torch.from_numpy(noise_B.astype(np.float32))
        rows_P = piece.rows_P
        largest_P = torch.maximum(self._largest_T[rows_P], log_weight_PB.amax(1).double())
        shrink_P = torch.exp(self._largest_T[rows_P] - largest_P)
        weight_PB = log_weight_PB.sub_(largest_P.float()[:, None]).exp_()
        self._square_T[rows_P] = self._square_T[rows_P] * shrink_P**2 + torch.linalg.vector_norm(weight_PB, dim=1) ** 2
        added_P3 = (weight_PB @ value_B3.float()).double()
        self._moment_T3[rows_P] = self._moment_T3[rows_P] * shrink_P[:, None] + added_P3
        self._largest_T[rows_P] = largest_P

    def posterior(self, templates: int) -> Posterior:
        """What the templates say so far."""
        total_T, first_T, second_T = self._moment_T3.unbind(1)
        mean_T = first_T / total_T
        variance_T = (second_T / total_T - mean_T.square()).clamp(min=0.0)
        effective_T = total_T.square() / self._square_T
        return Posterior((mean_T + self._shift).numpy(), variance_T.numpy(), effective_T.numpy(), templates)


def _chebyshev(low: float, high: float) -> np.ndarray:
    """Points between which a smooth function is interpolated best; one where there is no range."""
    if high - low < 1e-3:
        return np.array([0.5 * (low + high)])
    angle_U = (np.arange(_LEVELS) + 0.5) * np.pi / _LEVELS
    return np.asarray(0.5 * (low + high) - 0.5 * (high - low) * np.cos(angle_U))


def _lagrange(point_U: np.ndarray, at: float) -> np.ndarray:
    """What the values at the points contribute to the polynomial through them."""
    others = [np.delete(point_U, place) for place in range(len(point_U))]
    return np.array([np.prod((at - rest) / (point - rest)) for point, rest in zip(point_U, others, strict=True)])
