"""What the values of a shard look like, from a bounded number of rows at constant memory.

Shape suffixes: B rows of one read, K scanned spectra, L pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spectral_search.tasks.spectra.shards.shard import Shard

SAMPLE_ROWS = 1024
# Rows in memory at once: 256 rows of 4096 pixels are 4 MB an array.
_BLOCK_ROWS = 256


@dataclass(frozen=True)
class ShardStatistics:
    """Counts over the scanned rows.

    Attributes:
        scanned: Number of spectra looked at, K.
        sampled: Whether that is fewer than the shard holds.
        rows_K: Which they are.
        snr_K: Median over valid pixels of flux / error; NaN for a spectrum without a valid pixel.
        bad_flux_L, bad_error_L, masked_L: Per pixel, in how many scanned spectra the flux is not finite, the error is
            not finite and positive, the mask says bad.
    """

    scanned: int
    sampled: bool
    rows_K: np.ndarray
    snr_K: np.ndarray
    bad_flux_L: np.ndarray
    bad_error_L: np.ndarray
    masked_L: np.ndarray

    @property
    def dead_pixels(self) -> np.ndarray:
        """Indices of pixels that have no valid error in any scanned spectrum."""
        return np.flatnonzero(self.bad_error_L == self.scanned)


def scan(shard: Shard, rows: int = SAMPLE_ROWS) -> ShardStatistics:
    """Looks at about `rows` spectra in chunk-aligned blocks spread evenly over the shard.

    Args:
        shard: An open shard.
        rows: Upper bound, except that one whole chunk is always read.
    """
    bad_flux_L, bad_error_L, masked_L = (np.zeros(shard.pixels, dtype=np.int64) for _ in range(3))
    snr: list[np.ndarray] = []
    seen: list[np.ndarray] = []
    for start, stop in sample_ranges(shard.spectra, shard.chunk_rows, rows):
        arrays = shard.read(start, stop, ("flux", "error") + ("mask",) * shard.has_mask)
        flux_BL, error_BL = arrays["flux"], arrays["error"]
        good_flux_BL = np.isfinite(flux_BL)
        good_error_BL = np.isfinite(error_BL) & (error_BL > 0)
        good_BL = good_flux_BL & good_error_BL
        bad_flux_L += np.count_nonzero(~good_flux_BL, axis=0)
        bad_error_L += np.count_nonzero(~good_error_BL, axis=0)
        if shard.has_mask:
            masked_L += np.count_nonzero(arrays["mask"], axis=0)
            good_BL &= ~arrays["mask"]
        snr.append(median_snr(flux_BL, error_BL, good_BL))
        seen.append(np.arange(start, stop))
    scanned = sum(map(len, seen))
    return ShardStatistics(
        scanned, scanned < shard.spectra, np.concatenate(seen), np.concatenate(snr), bad_flux_L, bad_error_L, masked_L
    )


def median_snr(flux_BL: np.ndarray, error_BL: np.ndarray, good_BL: np.ndarray) -> np.ndarray:
    """S/N per spectrum (B,): the median over good pixels of flux / error; NaN where there are none."""
    snr_B = np.full(len(flux_BL), np.nan, dtype=np.float32)
    for row, (flux_L, error_L, good_L) in enumerate(zip(flux_BL, error_BL, good_BL, strict=True)):
        if good_L.any():
            snr_B[row] = np.median(flux_L[good_L] / error_L[good_L])
    return snr_B


def sample_ranges(spectra: int, chunk_rows: int, rows: int) -> Iterator[tuple[int, int]]:
    """Row ranges that cover about `rows` spectra: whole chunks, evenly spread, each given in pieces of bounded size."""
    chunks = -(-spectra // chunk_rows)
    wanted = chunks if rows >= spectra else max(1, min(chunks, rows // chunk_rows))
    for chunk in np.unique(np.linspace(0, chunks - 1, wanted).round().astype(int)):
        stop = min((int(chunk) + 1) * chunk_rows, spectra)
        for start in range(int(chunk) * chunk_rows, stop, _BLOCK_ROWS):
            yield start, min(start + _BLOCK_ROWS, stop)
