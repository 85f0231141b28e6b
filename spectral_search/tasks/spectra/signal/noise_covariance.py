"""The noise's covariance in the subspace, shared between spectra: few matrices whose mixtures are all their factors.

The covariance of a whitened spectrum's components is C = V^T diag(variance) V, linear in the variances of its pixels.
Divided by its scale c = trace(C) / K it differs little from spectrum to spectrum, along few directions D_r of the
matrices; its place along each, <D_r, C>, is again linear in the variances, a sum over pixels with the weights
v_l^T D_r v_l. The Cholesky factor of C / c, a smooth function of these places, is fitted by a linear one.
Shape suffixes: N spectra, L pixels, K components, R shared matrices.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.signal.fixed_product import FixedProduct

ALLOWED_ERROR = 0.002
"""Mean relative error of a covariance that is aimed at; its variances then err by less than 0.5%."""
_NUMBERS = (0, 1, 2, 4, 8, 12, 16, 24, 32)
"""How many directions D_r are tried."""
_TOGETHER = 4
"""Directions whose products with all others are made at once: few enough to stay in the cache."""


@dataclass(frozen=True)
class SharedCovariance:
    """How variances of pixels become the mixture of a covariance's factor.

    Attributes:
        weights_LR: Sums over pixels with these weights give the scale c (column 0) and the places <D_r, C>.
        centre_R: Mean places of C / c, subtracted; 0 for column 0.
        factors_RKK: The factor of C / c is F_0 + sum_r (place_r - centre_r) F_r.
        error: Mean relative error of a covariance (Frobenius norm), on spectra that were not fitted.
    """

    weights_LR: np.ndarray
    centre_R: np.ndarray
    factors_RKK: np.ndarray
    error: float

    def mix(self, sums_NR: np.ndarray) -> np.ndarray:
        """Mixtures, float32 of shape (N, R), from variances times `weights_LR`."""
        scale_N1 = np.maximum(sums_NR[:, :1].astype(np.float64), np.finfo(np.float32).tiny)
        mix_NR = sums_NR / scale_N1 - self.centre_R
        mix_NR[:, 0] = 1.0
        # A covariance of scale c has a factor of scale sqrt(c).
        return (mix_NR * np.sqrt(scale_N1)).astype(np.float32)


def share_covariance(variance_NL: np.ndarray, directions_LK: np.ndarray) -> SharedCovariance:
    """Fit on a sample of spectra.

    Args:
        variance_NL: Variances of whitened pixels, float32.
        directions_LK: The directions of the subspace.
    """
    return share(covariances(variance_NL, directions_LK), directions_LK)


def covariances(variance_NL: np.ndarray, directions_LK: np.ndarray) -> np.ndarray:
    """V^T diag(variance) V of each spectrum, float32 of shape (N, K, K); arguments as of `share_covariance`.

    As one product of the variances with the products of any two directions, a few of the first ones at a time: half the
    arithmetic of a product for each spectrum, since a covariance is symmetric.
    """
    variance, directions_KL = torch.from_numpy(variance_NL), torch.from_numpy(directions_LK).T.contiguous()
    count, components = len(variance_NL), directions_LK.shape[1]
    covariance_NKK = torch.empty(count, components, components)

    def fill(start: int) -> None:
        few_FL, rest_RL = directions_KL[start : start + _TOGETHER], directions_KL[start:]
        pairs_ML = (few_FL.unsqueeze(1) * rest_RL).flatten(0, 1)
        found_NFR = FixedProduct(pairs_ML.T)(variance).view(count, len(few_FL), -1)
        covariance_NKK[:, start : start + _TOGETHER, start:] = found_NFR
        covariance_NKK[:, start:, start : start + _TOGETHER] = found_NFR.mT

    for_each(fill, range(0, components, _TOGETHER))
    return covariance_NKK.numpy()


def share(covariance_NKK: np.ndarray, directions_LK: np.ndarray) -> SharedCovariance:
    """Fit to covariances; every other one is kept to measure the error with.

    In torch, whose number of threads is that of the calling thread: for matrices as small as these, more than one make
    it slower.

    Args:
        covariance_NKK: Of a sample of spectra.
        directions_LK: The directions of the subspace.
    """
    whole_NKK = torch.from_numpy(covariance_NKK).double()
    scale_N = whole_NKK.diagonal(dim1=1, dim2=2).mean(1)
    if not (scale_N > 0).all():  # no noise at all
        none_LR, none_RKK = np.zeros((len(directions_LK), 1)), np.zeros((1, *covariance_NKK.shape[1:]))
        return SharedCovariance(none_LR.astype(np.float32), np.zeros(1), none_RKK.astype(np.float32), 0.0)
    unit_NM = (whole_NKK / scale_N[:, None, None]).flatten(1)
    fit = _Fit(unit_NM[0::2], unit_NM[1::2] if len(unit_NM) > 1 else unit_NM)
    best, least = 0, math.inf
    # Two spectra a direction at least: with fewer the fit would meet them all and mean nothing.
    for number in (number for number in _NUMBERS if number == 0 or 2 * number <= len(unit_NM[0::2])):
        if (error := fit.error(number)) < least:
            best, least = number, error
        if error <= ALLOWED_ERROR:
            break
    return fit.shared(best, least, directions_LK)


class _Fit:
    """Linear fits of the factors of covariances by their places along the directions D_r, for any number of these.

    Args:
        fitted_NM: Covariances of scale 1, float64, M = K x K.
        held_NM: Others, to measure the error with.
    """

    def __init__(self, fitted_NM: torch.Tensor, held_NM: torch.Tensor) -> None:
        self._side = math.isqrt(fitted_NM.shape[1])
        # The error is asked for to a few digits, for each number of directions: single precision halves its time.
        self._held_NM = held_NM.float()
        self._held_norm_N = self._held_NM.norm(dim=1)
        self._turns_RM = _strongest(fitted_NM - fitted_NM.mean(0), _NUMBERS[-1])
        # Of all square roots, Cholesky's is unique and changes smoothly with the covariance, as a linear fit needs.
        factors_NM = torch.linalg.cholesky(self._square(fitted_NM)).flatten(1)
        self._centre_R = (fitted_NM @ self._turns_RM.T).mean(0)
        # The columns of fewer directions are the first of all, and so is what follows from them.
        basis_NR, self._upper_RR = torch.linalg.qr(self._features(fitted_NM))
        self._along_RM = basis_NR.T @ factors_NM
        self._held_NR = self._features(held_NM).float()

    def error(self, number: int) -> float:
        """Mean relative error of a covariance that was not fitted."""
        factor_NKK = self._square(self._held_NR[:, : number + 1] @ self._solved(number).float())
        off_NM = (factor_NKK @ factor_NKK.mT).flatten(1) - self._held_NM
        return float((off_NM.norm(dim=1) / self._held_norm_N).mean())

    def shared(self, number: int, error: float, directions_LK: np.ndarray) -> SharedCovariance:
        """The shared matrices for so many directions."""
        directions, turns_RM = torch.from_numpy(directions_LK).double(), self._turns_RM[:number]
        weights = [directions.square().mean(1)]
        # The matrices are symmetric as covariances are, whichever triangle of D_r is looked at.
        weights += [((directions @ turn_KK) * directions).sum(1) for turn_KK in self._square(turns_RM)]
        return SharedCovariance(
            torch.stack(weights, 1).float().numpy(),
            np.concatenate([[0.0], self._centre_R[:number].numpy()]),
            self._square(self._solved(number)).float().numpy(),
            error,
        )

    def _features(self, unit_NM: torch.Tensor) -> torch.Tensor:
        places_NR = unit_NM @ self._turns_RM.T - self._centre_R
        return torch.cat([torch.ones(len(unit_NM), 1, dtype=unit_NM.dtype), places_NR], 1)

    def _solved(self, number: int) -> torch.Tensor:
        few = slice(number + 1)
        return torch.linalg.solve_triangular(self._upper_RR[few, few], self._along_RM[few], upper=True)

    def _square(self, values_NM: torch.Tensor) -> torch.Tensor:
        return values_NM.view(-1, self._side, self._side)


def _strongest(centred_NM: torch.Tensor, most: int) -> torch.Tensor:
    """Orthonormal rows along which the given ones vary most, falling.

    From the products of the few rows with each other: singular values of them all took twenty times as long, and of the
    weak directions nothing is asked.
    """
    square_N, turn_NN = torch.linalg.eigh(centred_NM @ centred_NM.T)
    told = int((square_N > 1e-10 * square_N.clamp(min=0.0).max()).sum())
    kept = square_N.argsort(descending=True)[: min(most, told)]
    return turn_NN[:, kept].T @ centred_NM / square_N[kept].sqrt()[:, None]
