"""Posterior means over as many templates as it takes: labels drawn from their distribution, spectra by an emulator.

First the same templates serve all evaluation spectra. These are sorted by their noise and worked on in pieces that
share a covariance, up to a scale, and the emulator's means, which noise shifts a little where it is clipped at 0. A
block of templates is emulated at a few levels of the noise and interpolated between them. Then a weight costs K
products, and memory is one block and one piece, however many templates there are. Spectra for which too few of them
count get templates of their own (`refinement`), begun from the moments that a small power of the weights has.
Shape suffixes: T evaluation spectra, P of a piece, B templates of a block, U levels of the noise, K components, D
labels.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.baselines.emulator import Emulator
from spectral_search.tasks.spectra.baselines.label_prior import LabelPrior, NoisePrior
from spectral_search.tasks.spectra.baselines.problem import Told
from spectral_search.tasks.spectra.baselines.refinement import refined, widened
from spectral_search.tasks.spectra.baselines.signal_space import Observed, Signal

TEMPLATES = 1 << 17
"""That serve all spectra."""
REFINED_BELOW = 300.0
"""Effective templates: with fewer a spectrum gets its own. The mean squared error is raised by one part in so many."""
BLOCK_TEMPLATES = 4096
PIECE_SPECTRA = 128
_OWN_SPECTRA = 16
"""Spectra that get their own templates together."""
_LEVELS = 4
_NOTHING = 40.0
"""Log of how many times less than the best a template counts at least; 131,072 of them then sum to 1e-12 of it."""
_POWER = 0.1
"""Of the weights: they then spread about three times as far as the posterior, and more templates count."""


@dataclass(frozen=True)
class Posterior:
    """What the templates say of each evaluation spectrum.

    Attributes:
        mean_T: Posterior mean of log g, dex.
        variance_T: Posterior variance, dex^2.
        effective_T: Effective number of templates, (sum w)^2 / sum w^2.
        templates: How many served all spectra.
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
    """Weigh templates that serve all spectra, then more for those of which too few count."""
    sums = _Sums(model, observed)
    # Scrambled, for Sobol's own first point is a corner of the cube.
    sobol = torch.quasirandom.SobolEngine(len(model.prior.names), scramble=True, seed=seed % 2**31)
    tell = told("ceiling: templates")
    for drawn in range(0, TEMPLATES, BLOCK_TEMPLATES):
        sums.add(sobol.draw(BLOCK_TEMPLATES, dtype=torch.float64).numpy())
        tell(drawn + BLOCK_TEMPLATES, TEMPLATES)
    found = sums.posterior()
    few_T = np.flatnonzero(found.effective_T < REFINED_BELOW)
    # Alike in noise, as pieces are.
    few_T = few_T[np.argsort(observed.log_noise_T[few_T], kind="stable")]
    tell = told("ceiling: spectra with templates of their own")
    pieces = [few_T[start : start + _OWN_SPECTRA] for start in range(0, len(few_T), _OWN_SPECTRA)]
    for start in range(0, len(pieces), 64):
        for_each(partial(_refine, model, observed, sums, found, seed), pieces[start : start + 64])
        tell(min(len(few_T), (start + 64) * _OWN_SPECTRA), len(few_T))
    return found


def _refine(model: Model, observed: Observed, sums: "_Sums", found: Posterior, seed: int, rows_P: np.ndarray) -> None:
    """Replace what too few templates say of some spectra."""
    log_noise = float(observed.log_noise_T[rows_P].mean())
    whiten_KK, log_g = _whitening(model.signal, log_noise), model.prior.names.index("log_g")
    scale_P1 = torch.from_numpy(np.exp(log_noise - observed.log_noise_T[rows_P]))[:, None]
    component_P1K = torch.from_numpy(observed.component_TK[rows_P])[:, None]

    def density(rank_PSD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape, rank_MD = rank_PSD.shape[:2], rank_PSD.flatten(0, 1).numpy()
        label_MD = model.prior.labels(rank_MD)
        mean_PSK = model.emulator(label_MD, log_noise).view(*shape, -1)
        chi2_PS = ((component_P1K - mean_PSK) @ whiten_KK).square().sum(2).double() * scale_P1
        log_prior_M = model.prior.log_ratio(rank_MD) + model.noise.log_density(
            log_noise - model.noise.expected(rank_MD)
        )
        return torch.from_numpy(log_prior_M).view(shape) - 0.5 * chi2_PS, torch.from_numpy(label_MD[:, log_g]).view(
            shape
        )

    # By the piece's first spectrum: which thread comes first must decide nothing.
    draws = torch.Generator().manual_seed((seed * 1_000_003 + int(rows_P[0])) % 2**63)
    mean_PD, covariance_PDD = sums.start(rows_P)
    mean_P, variance_P, effective_P = (values.numpy() for values in refined(density, mean_PD, covariance_PDD, draws))
    better_P = effective_P > found.effective_T[rows_P]
    rows_P = rows_P[better_P]
    found.mean_T[rows_P], found.variance_T[rows_P] = mean_P[better_P], variance_P[better_P]
    found.effective_T[rows_P] = effective_P[better_P]


def _whitening(signal: Signal, log_noise: float) -> Tensor:
    """Times a difference of components gives deviates of variance 1, float32 (K, K)."""
    factor_KK = np.linalg.cholesky(signal.typical_covariance(log_noise))
    return torch.from_numpy(np.linalg.inv(factor_KK).T.astype(np.float32)).contiguous()


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
        labels = len(model.prior.names)
        self._spread_TM = torch.zeros(count, 1 + labels + labels**2, dtype=torch.float64)
        self._shift = model.prior.mean("log_g")
        self._levels_U = _chebyshev(float(observed.log_noise_T.min()), float(observed.log_noise_T.max()))
        order_T = np.argsort(observed.log_noise_T, kind="stable")
        bounds = [*range(0, count, PIECE_SPECTRA), count]
        self._pieces = [self._piece(observed, order_T[start:stop]) for start, stop in pairwise(bounds)]

    def _piece(self, observed: Observed, rows_P: np.ndarray) -> _Piece:
        log_noise = float(observed.log_noise_T[rows_P].mean())
        whiten_KK = _whitening(self._model.signal, log_noise)
        return _Piece(
            torch.from_numpy(rows_P),
            whiten_KK,
            torch.from_numpy(observed.component_TK[rows_P]) @ whiten_KK,
            torch.from_numpy(np.exp(log_noise - observed.log_noise_T[rows_P]).astype(np.float32)),
            log_noise,
            torch.from_numpy(_lagrange(self._levels_U, log_noise).astype(np.float32)),
        )

    def add(self, rank_BD: np.ndarray) -> None:
        """Add a block of templates."""
        label_BD = self._model.prior.labels(rank_BD)
        log_g_B = label_BD[:, self._model.prior.names.index("log_g")]
        mean_UBK = torch.stack([self._model.emulator(label_BD, float(level)) for level in self._levels_U])
        # About the mean: float32 squares of log g itself would cost the variance its last digits.
        deviation_B = torch.from_numpy(log_g_B - self._shift)
        value_B3 = torch.stack([torch.ones_like(deviation_B), deviation_B, deviation_B.square()], 1)
        log_ratio_B = torch.from_numpy(self._model.prior.log_ratio(rank_BD).astype(np.float32))
        expected_B = self._model.noise.expected(rank_BD)
        off_BD = torch.from_numpy(rank_BD - 0.5)
        product_BM = (off_BD[:, :, None] * off_BD[:, None]).flatten(1)
        spread_BM = torch.cat([torch.ones_like(off_BD[:, :1]), off_BD, product_BM], 1).float()
        work = partial(self._add, mean_UBK, value_B3.float(), spread_BM, log_ratio_B, expected_B)
        for_each(work, self._pieces)

    def _add(
        self,
        mean_UBK: Tensor,
        value_B3: Tensor,
        spread_BM: Tensor,
        log_ratio_B: Tensor,
        expected_B: np.ndarray,
        piece: _Piece,
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
        # Bounded from below: what is next to nothing must not become numbers so small that the CPU is slow at them.
        log_weight_PB.sub_(largest_P.float()[:, None]).clamp_(min=-_NOTHING / _POWER)
        wide_PB = log_weight_PB.mul(_POWER).exp_()
        added_PM = (wide_PB @ spread_BM).double()
        self._spread_TM[rows_P] = self._spread_TM[rows_P] * shrink_P[:, None] ** _POWER + added_PM
        weight_PB = log_weight_PB.clamp_(min=-_NOTHING).exp_()
        self._square_T[rows_P] = self._square_T[rows_P] * shrink_P**2 + torch.linalg.vector_norm(weight_PB, dim=1) ** 2
        added_P3 = (weight_PB @ value_B3).double()
        self._moment_T3[rows_P] = self._moment_T3[rows_P] * shrink_P[:, None] + added_P3
        self._largest_T[rows_P] = largest_P

    def start(self, rows_P: np.ndarray) -> tuple[Tensor, Tensor]:
        """Mean and covariance of ranks that a power of the weights has, no narrower than templates lie apart."""
        labels = len(self._model.prior.names)
        total_P1, mean_PD, product_PM = self._spread_TM[rows_P].split([1, labels, labels**2], 1)
        mean_PD = mean_PD / total_P1
        covariance_PDD = (product_PM / total_P1).view(-1, labels, labels) - mean_PD[:, :, None] * mean_PD[:, None]
        return mean_PD + 0.5, widened(covariance_PDD, 0.3 * TEMPLATES ** (-1.0 / labels))

    def posterior(self) -> Posterior:
        """What the templates say."""
        total_T, first_T, second_T = self._moment_T3.unbind(1)
        mean_T = first_T / total_T
        variance_T = (second_T / total_T - mean_T.square()).clamp(min=0.0)
        effective_T = total_T.square() / self._square_T
        return Posterior((mean_T + self._shift).numpy(), variance_T.numpy(), effective_T.numpy(), TEMPLATES)


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
