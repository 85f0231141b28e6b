"""Statistics of the training set that turn a noisy spectrum into a network's input.

One pass over the training blocks gives everything that any input needs; the val and test sets only vote on which
pixels are valid, so that all three are treated alike. Shape suffixes: B spectra in a block, L pixels, Q quantiles.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from spectral_search.data.blocks import Block
from spectral_search.errors import RequestError

MAX_INVALID_FRACTION = 0.01
"""A pixel that is invalid in more than this part of any set's spectra is masked for all sets."""
QUANTILES = np.linspace(0.0, 1.0, 101)
QUANTILE_BLOCK_SAMPLES = 10_007
"""Errors sampled from each block for the quantiles; a prime, so that the stride meets every pixel."""


@dataclass(frozen=True)
class Preprocessing:
    """What is fixed about the input and the target once the training set is known.

    Fluxes and errors are divided by `flux_scale` before anything else: FITS fluxes of 1e-17 lose their squares in
    float32. Statistics are of the scaled values; masked pixels hold 0 (mean, std) and False (valid).
    """

    flux_scale: float
    target_mean_dex: float
    target_std_dex: float
    valid_L: np.ndarray
    mean_L: np.ndarray
    flux_var_L: np.ndarray
    error_mean_L: np.ndarray
    error_sq_mean_L: np.ndarray
    inverse_error_mean_L: np.ndarray
    inverse_error_sq_mean_L: np.ndarray
    error_quantiles_Q: np.ndarray
    pixel_rank_L: np.ndarray
    """Pixels by falling LightGBM importance; empty until a spec asks for top_pixels."""

    @property
    def pixels(self) -> int:
        return len(self.valid_L)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for safetensors; scalars become arrays of one float64."""
        return {f.name: np.atleast_1d(np.asarray(getattr(self, f.name))) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Preprocessing":
        """The inverse of `to_arrays`.

        Raises:
            RequestError: An array is missing.
        """
        missing = [f.name for f in fields(cls) if f.name not in arrays]
        if missing:
            raise RequestError(f"The preprocessing file lacks {', '.join(missing)}: export the model again.")
        values = {f.name: arrays[f.name] for f in fields(cls)}
        scalars = ("flux_scale", "target_mean_dex", "target_std_dex")
        return cls(**{k: float(v[0]) if k in scalars else v for k, v in values.items()})


class _Moments:
    """Count, mean and sum of squared deviations per pixel, merged block by block (Chan et al. 1979)."""

    def __init__(self, pixels: int) -> None:
        self.count_L = np.zeros(pixels)
        self.mean_L = np.zeros(pixels)
        self.m2_L = np.zeros(pixels)

    def update(self, values_BL: np.ndarray, count_L: np.ndarray) -> None:
        """Merge a block whose invalid values are 0; `count_L` counts the valid ones.

        A masked sum would be several times slower, so zeros are summed and their deviations taken off again.
        """
        mean_L = values_BL.sum(0, dtype=np.float64) / np.maximum(count_L, 1.0)
        deviation_BL = values_BL - mean_L.astype(np.float32)
        m2_L = np.einsum("bl,bl->l", deviation_BL, deviation_BL).astype(np.float64)
        m2_L -= (len(values_BL) - count_L) * mean_L**2
        total_L = np.maximum(self.count_L + count_L, 1.0)
        delta_L = mean_L - self.mean_L
        self.m2_L += np.maximum(m2_L, 0.0) + delta_L**2 * self.count_L * count_L / total_L
        self.mean_L += delta_L * count_L / total_L
        self.count_L += count_L

    @property
    def var_L(self) -> np.ndarray:
        return self.m2_L / np.maximum(self.count_L, 1.0)


class Validity:
    """How many spectra of each set have no valid value at a pixel."""

    def __init__(self, pixels: int) -> None:
        self.invalid_L = np.zeros(pixels, np.int64)
        self.spectra = 0

    def update(self, invalid_BL: np.ndarray) -> None:
        self.invalid_L += invalid_BL.sum(0)
        self.spectra += len(invalid_BL)

    @property
    def valid_L(self) -> np.ndarray:
        return self.invalid_L <= MAX_INVALID_FRACTION * self.spectra


def set_validity(blocks: Iterable[Block], pixels: int) -> Validity:
    """Votes of a val or test set: one pass over its blocks."""
    votes = Validity(pixels)
    for block in blocks:
        votes.update(block.invalid_BL)
    return votes


def fit_preprocessing(
    blocks: Iterable[Block], log_g_N: np.ndarray, pixels: int, others: Iterable[Validity] = ()
) -> Preprocessing:
    """Fit on the training blocks in one pass, at constant memory.

    Args:
        blocks: The training spectra, once each, in any order.
        log_g_N: Their labels in dex.
        pixels: L.
        others: Validity of the val and test sets.

    Raises:
        RequestError: No pixel is valid in all sets, or the labels do not vary.
    """
    flux, error, inverse = _Moments(pixels), _Moments(pixels), _Moments(pixels)
    votes, samples, scale = Validity(pixels), [], 0.0
    for block in blocks:
        scale = scale or _flux_scale(block)
        count_L = len(block.flux_BL) - block.invalid_BL.sum(0, dtype=np.float64)
        flux_BL, error_BL = block.flux_BL / np.float32(scale), block.error_BL / np.float32(scale)
        flux.update(flux_BL, count_L)
        error.update(error_BL, count_L)
        inverse.update(1.0 / np.where(block.invalid_BL, np.float32(np.inf), error_BL), count_L)
        votes.update(block.invalid_BL)
        sample = error_BL.ravel()[:: max(1, error_BL.size // QUANTILE_BLOCK_SAMPLES)]
        samples.append(sample[sample > 0])
    valid_L = np.logical_and.reduce([v.valid_L for v in (votes, *others)]) & (flux.count_L > 0)
    if not valid_L.any():
        raise RequestError(
            "No pixel has a valid flux and error in all of train, val and test: check the mask convention (an integer "
            "mask marks good pixels with 0, a boolean one marks bad pixels with True) and that error is above 0."
        )
    target_std = float(np.std(log_g_N))
    if not target_std > 0:
        raise RequestError("log_g is the same for every training spectrum: there is nothing to learn from this set.")
    masked = {
        "mean_L": flux.mean_L,
        "flux_var_L": flux.var_L,
        "error_mean_L": error.mean_L,
        "error_sq_mean_L": error.var_L + error.mean_L**2,
        "inverse_error_mean_L": inverse.mean_L,
        "inverse_error_sq_mean_L": inverse.var_L + inverse.mean_L**2,
    }
    return Preprocessing(
        flux_scale=scale,
        target_mean_dex=float(np.mean(log_g_N)),
        target_std_dex=target_std,
        valid_L=valid_L,
        error_quantiles_Q=np.quantile(np.concatenate(samples), QUANTILES).astype(np.float32),
        pixel_rank_L=np.zeros(0, np.int64),
        **{name: np.where(valid_L, value_L, 0.0).astype(np.float32) for name, value_L in masked.items()},
    )


def _flux_scale(block: Block) -> float:
    """Median size of the first block's non-zero flux, so that scaled values are of order one."""
    size = np.abs(block.flux_BL[~block.invalid_BL])
    size = size[size > 0]
    return float(np.median(size)) if len(size) else 1.0
