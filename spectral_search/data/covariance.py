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

ALLOWED_ERROR = 0.002
"""Mean relative error of a covariance that is aimed at; its variances then err by less than 0.5%."""
NUMBERS = (0, 1, 2, 4, 8, 12, 16, 24, 32)
"""How many directions D_r are tried."""


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
        return (mix_NR * np.sqrt(scale_N1)).astype(np.float32)


def share_covariance(variance_NL: np.ndarray, directions_LK: np.ndarray) -> SharedCovariance:
    """Fit on a sample of spectra; every other one is kept to measure the error with.

    Args:
        variance_NL: Variances of whitened pixels, float32.
        directions_LK: The directions of the subspace.
    """
    components = directions_LK.shape[1]
    unit_NM, scale_N = _unit_covariances(variance_NL, directions_LK)
    if not (scale_N > 0).all():  # no noise at all
        none_LR, none_RKK = np.zeros((len(directions_LK), 1)), np.zeros((1, components, components))
        return SharedCovariance(none_LR.astype(np.float32), np.zeros(1), none_RKK.astype(np.float32), 0.0)
    fitted_NM, held_NM = unit_NM[0::2], unit_NM[1::2] if len(unit_NM) > 1 else unit_NM
    turns_RM = _strongest(fitted_NM - fitted_NM.mean(0), NUMBERS[-1])
    factors_NM = np.linalg.cholesky(_square(fitted_NM)).reshape(len(fitted_NM), -1)
    made: list[SharedCovariance] = []
    # Two spectra a direction at least: with fewer the fit would meet them all and mean nothing.
    for number in (number for number in NUMBERS if number == 0 or 2 * number <= len(fitted_NM)):
        made.append(_fit(turns_RM[:number], fitted_NM, factors_NM, held_NM, directions_LK))
        if made[-1].error <= ALLOWED_ERROR:
            break
    return min(made, key=lambda fit: fit.error)


def _unit_covariances(variance_NL: np.ndarray, directions_LK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariances divided by their scales, float64 of shape (N, M) with M = K x K, and the scales."""
    directions, scaled_LK = torch.from_numpy(directions_LK), torch.empty(directions_LK.shape)
    covariances = []
    for variance_L in torch.from_numpy(variance_NL):
        torch.mul(directions, variance_L.unsqueeze(1), out=scaled_LK)  # fresh pages would cost as much as the product
        covariances.append(directions.T @ scaled_LK)
    covariance_NKK = torch.stack(covariances).double()
    scale_N = covariance_NKK.diagonal(dim1=1, dim2=2).mean(1)
    unit_NKK = covariance_NKK / scale_N.clamp(min=torch.finfo(torch.float32).tiny)[:, None, None]
    return unit_NKK.flatten(1).numpy(), scale_N.numpy()


def _strongest(centred_NM: np.ndarray, most: int) -> np.ndarray:
    """Orthonormal rows along which the given ones vary most, falling.

    From the products of the few rows with each other: singular values of them all took twenty times as long, and of the
    weak directions nothing is asked.
    """
    square_N, turn_NN = np.linalg.eigh(centred_NM @ centred_NM.T)
    kept = np.argsort(-square_N)[: min(most, np.count_nonzero(square_N > 1e-10 * square_N.max(initial=0.0)))]
    return turn_NN[:, kept].T @ centred_NM / np.sqrt(square_N[kept])[:, None]


def _square(values_NM: np.ndarray) -> np.ndarray:
    side = math.isqrt(values_NM.shape[1])
    return values_NM.reshape(-1, side, side)


def _fit(
    turns_RM: np.ndarray,
    fitted_NM: np.ndarray,
    factors_NM: np.ndarray,
    held_NM: np.ndarray,
    directions_LK: np.ndarray,
) -> SharedCovariance:
    """The shared matrices for some directions D_r, with their error on covariances that were not fitted."""
    centre_R = (fitted_NM @ turns_RM.T).mean(0)

    def features(unit_NM: np.ndarray) -> np.ndarray:
        return np.column_stack([np.ones(len(unit_NM)), unit_NM @ turns_RM.T - centre_R])

    solved_RM, *_ = np.linalg.lstsq(features(fitted_NM), factors_NM, rcond=None)
    factor_NKK = _square(features(held_NM) @ solved_RM)
    off_NM = (factor_NKK @ factor_NKK.transpose(0, 2, 1)).reshape(held_NM.shape) - held_NM
    error = float((np.linalg.norm(off_NM, axis=1) / np.linalg.norm(held_NM, axis=1)).mean())
    weights = [np.square(directions_LK).mean(1)]
    # The matrices are symmetric as covariances are, whichever triangle of D_r is looked at.
    weights += [((directions_LK @ turn_KK) * directions_LK).sum(1) for turn_KK in _square(turns_RM)]
    return SharedCovariance(
        np.stack(weights, 1).astype(np.float32),
        np.concatenate([[0.0], centre_R]),
        _square(solved_RM).astype(np.float32),
        error,
    )
