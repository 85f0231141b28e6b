"""Statistics of the training set that turn a noisy spectrum into a network's input.

One pass over the training blocks gives everything that any input needs; the val and test sets only vote on which
pixels are valid, so that all three are treated alike.
Shape suffixes: B spectra in a block, P in a piece of a block, L pixels, Q quantiles, K bins of a histogram.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.blocks import PIECE_ROWS, Block

MAX_INVALID_FRACTION = 0.01
"""A pixel that is invalid in more than this part of any set's spectra is masked for all sets."""
QUANTILES = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Preprocessing:
    """What is fixed about the input and the target once the training set is known.

    Fluxes and errors are divided by `flux_scale`, a power of two, before anything else: FITS fluxes of 1e-17 lose
    their squares in float32. Statistics are of the scaled values and of valid ones alone; masked pixels hold 0 in all
    of them and False in `valid_L`.
    """

    flux_scale: float
    target_mean_dex: float
    target_std_dex: float
    valid_L: np.ndarray
    mean_L: np.ndarray
    flux_var_L: np.ndarray
    error_mean_L: np.ndarray
    error_var_L: np.ndarray
    inverse_error_mean_L: np.ndarray
    inverse_error_var_L: np.ndarray
    error_quantiles_Q: np.ndarray
    pixel_rank_L: np.ndarray
    """Pixels by falling LightGBM importance; empty until a spec asks for top_pixels."""
    wave_angstrom_L: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Wavelength of each pixel; empty where the shards do not say, and in models of earlier versions."""
    directions_LK: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """Principal directions of the noise-free spectra in units of the noise; empty until an input asks for them."""
    strength_K: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    """Standard deviation of the signal along each direction, in units of the noise at level 1."""

    @property
    def pixels(self) -> int:
        return len(self.valid_L)

    @property
    def conditioning(self) -> "Conditioning":
        """Brings spectra into the units of these statistics."""
        return Conditioning(1.0 / self.flux_scale, np.flatnonzero(~self.valid_L), self.centre_L)

    @property
    def centre_L(self) -> np.ndarray:
        """What inputs are centred on and invalid values are filled with: the mean flux, clipped at 0 as spectra are."""
        return np.asarray(np.maximum(self.mean_L, 0.0))

    def noisy_var_L(self, noise_level: float) -> np.ndarray:
        """Variance of the noisy flux: that of the flux plus the mean variance of its noise."""
        error_sq_mean_L = self.error_var_L + self.error_mean_L**2
        return np.asarray(self.flux_var_L + noise_level**2 * error_sq_mean_L)

    @property
    def inverse_noise_L(self) -> np.ndarray:
        """1 / sqrt(mean(error^2)) at level 1, float64; 0 at masked pixels."""
        square_L = self.error_var_L.astype(np.float64) + self.error_mean_L.astype(np.float64) ** 2
        usable_L = self.valid_L & (square_L > 0)
        return np.divide(1.0, np.sqrt(square_L), out=np.zeros(self.pixels), where=usable_L)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for safetensors; scalars become arrays of one float64."""
        return {f.name: np.atleast_1d(np.asarray(getattr(self, f.name))) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "Preprocessing":
        """The inverse of `to_arrays`.

        Raises:
            RequestError: An array is missing.
        """
        optional = {f.name for f in fields(cls) if f.default_factory is not MISSING}
        missing = [f.name for f in fields(cls) if f.name not in arrays and f.name not in optional]
        if missing:
            raise RequestError(f"The preprocessing file lacks {', '.join(missing)}: export the model again.")
        values: dict[str, Any] = {f.name: arrays[f.name] for f in fields(cls) if f.name in arrays}
        for name in ("flux_scale", "target_mean_dex", "target_std_dex"):
            values[name] = float(values[name][0])
        return cls(**values)


@dataclass(frozen=True)
class Conditioning:
    """Brings spectra into the units of training, in place: invalid values get the training mean and error 0.

    It goes to the processes that read, so it holds no more than it needs.

    Attributes:
        factor: What fluxes and errors are multiplied by, a power of two.
        masked_K: Pixels whose every value counts as invalid.
        centre_L: Flux of invalid values, in units of training.
    """

    factor: float
    masked_K: np.ndarray
    centre_L: np.ndarray

    def __call__(self, flux_PL: np.ndarray, error_PL: np.ndarray, noisy_PL: np.ndarray | None = None) -> None:
        fluxes = [flux_PL] if noisy_PL is None else [flux_PL, noisy_PL]
        if self.factor != 1.0:
            for values_PL in (error_PL, *fluxes):
                values_PL *= np.float32(self.factor)
        error_PL[:, self.masked_K] = 0.0
        # Only pixels with an invalid value are gone through, and a minimum finds them.
        (pixels_K,) = np.nonzero(error_PL.min(axis=0) <= 0)
        where = np.s_[:, pixels_K] if len(pixels_K) * 8 < len(self.centre_L) else np.s_[:, :]
        invalid_PK = error_PL[where] <= 0
        for values_PL in fluxes:
            values_PL[where] = np.where(invalid_PK, self.centre_L[where[1]], values_PL[where])


class _Moments:
    """Count, mean and sum of squared deviations per pixel, merged piece by piece (Chan et al. 1979)."""

    def __init__(self, pixels: int) -> None:
        self.count_L = np.zeros(pixels)
        self.mean_L = np.zeros(pixels)
        self.m2_L = np.zeros(pixels)

    def update(self, values_PL: np.ndarray, count_L: np.ndarray) -> None:
        """Merge a piece whose invalid values are 0; `count_L` counts the valid ones.

        A masked sum would be several times slower, so zeros are summed and their deviations taken off again.
        """
        mean_L = values_PL.sum(0, dtype=np.float64) / np.maximum(count_L, 1.0)
        deviation_PL = values_PL - mean_L.astype(np.float32)
        m2_L = np.einsum("pl,pl->l", deviation_PL, deviation_PL).astype(np.float64)
        m2_L -= (len(values_PL) - count_L) * mean_L**2
        total_L = np.maximum(self.count_L + count_L, 1.0)
        delta_L = mean_L - self.mean_L
        self.m2_L += np.maximum(m2_L, 0.0) + delta_L**2 * self.count_L * count_L / total_L
        self.mean_L += delta_L * count_L / total_L
        self.count_L += count_L

    @property
    def var_L(self) -> np.ndarray:
        return np.asarray(self.m2_L / np.maximum(self.count_L, 1.0))


class _LogHistogram:
    """Counts of positive float32 values by sign, exponent and leading mantissa bits: 128 bins an octave.

    Quantiles of any number of values at constant memory, the same in whatever blocks they come, within 0.4%.
    """

    SHIFT = np.uint32(16)
    BINS = 1 << 15

    def __init__(self) -> None:
        self._count_K = np.zeros(self.BINS, np.int64)

    def update(self, values_PL: np.ndarray) -> None:
        """Add values; zeros stand for none."""
        # The bits of positive floats, read as integers, are in the order of the floats.
        bin_M = np.ascontiguousarray(values_PL).view(np.uint32).ravel() >> self.SHIFT
        self._count_K += np.bincount(bin_M, minlength=self.BINS)

    def quantiles(self, fraction_Q: np.ndarray) -> np.ndarray:
        """Values below which these fractions lie, float32; zeros where there are no values."""
        count_K = self._count_K.copy()
        count_K[0] = 0
        (filled,) = np.nonzero(count_K)
        if not len(filled):
            return np.zeros(len(fraction_Q), np.float32)
        low, high = filled[0], filled[-1] + 1
        edge_K = (np.arange(low, high + 1, dtype=np.uint32) << self.SHIFT).view(np.float32)
        below_K = np.concatenate([[0.0], np.cumsum(count_K[low:high])]) / count_K.sum()
        return np.asarray(np.interp(fraction_Q, below_K, edge_K), np.float32)


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


class PreprocessingFit:
    """Gathers the statistics of the training set in one pass, at constant memory, while its spectra go their way.

    Attributes:
        flux_scale: Power of two that fluxes will be divided by; 0 until a spectrum with a flux above 0 has come.
    """

    def __init__(self, pixels: int) -> None:
        self.flux_scale = 0.0
        self._flux, self._error, self._inverse = _Moments(pixels), _Moments(pixels), _Moments(pixels)
        self._errors, self._votes = _LogHistogram(), Validity(pixels)

    def watch(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Passes the blocks on."""
        for block in blocks:
            self.update(block)
            yield block

    def update(self, block: Block) -> None:
        for start in range(0, len(block), PIECE_ROWS):
            part = slice(start, start + PIECE_ROWS)
            self._update(block.flux_BL[part], block.error_BL[part])

    def _update(self, flux_PL: np.ndarray, error_PL: np.ndarray) -> None:
        invalid_PL = error_PL == 0
        self._votes.update(invalid_PL)
        self.flux_scale = self.flux_scale or _flux_scale(flux_PL)
        if not self.flux_scale:
            return  # not a value above 0 so far
        count_L = len(flux_PL) - np.count_nonzero(invalid_PL, axis=0).astype(np.float64)
        self._flux.update(flux_PL / np.float32(self.flux_scale), count_L)
        error_PL = error_PL / np.float32(self.flux_scale)
        self._error.update(error_PL, count_L)
        self._errors.update(error_PL)
        self._inverse.update(np.divide(1.0, error_PL, out=np.zeros_like(error_PL), where=~invalid_PL), count_L)

    def finish(self, log_g_N: np.ndarray, others: Iterable[Validity] = ()) -> Preprocessing:
        """The statistics of what has come.

        Args:
            log_g_N: Labels of the training set in dex.
            others: Validity of the val and test sets.

        Raises:
            RequestError: No pixel is valid in all sets, or the labels do not vary.
        """
        log_g_N = np.asarray(log_g_N, np.float64)
        target_std_dex = _target_std(log_g_N)
        votes = (self._votes, *others)
        # In all sets: scaled by the spread of training spectra without noise there, noisy test pixels would come out
        # huge.
        valid_L = np.logical_and.reduce([v.valid_L for v in votes]) & (self._flux.count_L > 0)
        if not valid_L.any():
            raise RequestError(
                "No pixel has a valid flux and error in all of train, val and test: check the mask convention (an "
                "integer mask marks good pixels with 0, a boolean one marks bad pixels with True) and that error is "
                "above 0."
            )

        def masked(value_L: np.ndarray) -> np.ndarray:
            return np.where(valid_L, value_L, 0.0).astype(np.float32)

        return Preprocessing(
            flux_scale=self.flux_scale,
            target_mean_dex=float(log_g_N.mean()),
            target_std_dex=target_std_dex,
            valid_L=valid_L,
            mean_L=masked(self._flux.mean_L),
            flux_var_L=masked(self._flux.var_L),
            error_mean_L=masked(self._error.mean_L),
            error_var_L=masked(self._error.var_L),
            inverse_error_mean_L=masked(self._inverse.mean_L),
            inverse_error_var_L=masked(self._inverse.var_L),
            error_quantiles_Q=self._errors.quantiles(QUANTILES),
            pixel_rank_L=np.zeros(0, np.int64),
        )


def fit_preprocessing(
    blocks: Iterable[Block], log_g_N: np.ndarray, pixels: int, others: Iterable[Validity] = ()
) -> Preprocessing:
    """Fit on the training blocks, once each, in any order; see `PreprocessingFit.finish`."""
    fit = PreprocessingFit(pixels)
    for block in blocks:
        fit.update(block)
    return fit.finish(log_g_N, others)


def _target_std(log_g_N: np.ndarray) -> float:
    """Standard deviation of the labels in dex, refused where nothing can be learnt from them."""
    unknown = int(np.count_nonzero(~np.isfinite(log_g_N)))
    if unknown:
        raise RequestError(f"{unknown} of {len(log_g_N)} training spectra have no finite log_g: remove or label them.")
    if not log_g_N.std() > 0:
        raise RequestError("log_g is the same for every training spectrum: there is nothing to learn from this set.")
    return float(log_g_N.std())


def _flux_scale(flux_PL: np.ndarray) -> float:
    """The power of two nearest to the median size of the first spectrum's flux; 0 if all is 0.

    One spectrum, not a block: the scale must not depend on how the spectra are cut into blocks. A power of two, so
    that scaling rounds nothing.
    """
    for flux_L in np.abs(flux_PL):
        if len(size := flux_L[flux_L > 0]):
            return float(2.0 ** round(math.log2(np.median(size))))
    return 0.0
