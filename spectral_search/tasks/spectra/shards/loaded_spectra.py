"""Spectra held in memory, filled block by block with no second copy.

Shape suffixes: N spectra, B spectra of a block, L pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.shards.split import Selection

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Spectra:
    """The spectra of one selection, in its order.

    Attributes:
        flux_NL: Noise-free flux, float32; 0 where invalid. Or float16, and then in units of training (`halved`).
        error_NL: 1-sigma error in the unit of the flux, likewise; 0 marks an invalid pixel and nothing else does.
        noisy_NL: Flux with the noise already added, float32, or None.
        labels: One row a spectrum: log_g (dex), T_eff (K), M_H (dex), snr, id; index 0 to N-1.
    """

    flux_NL: np.ndarray
    error_NL: np.ndarray
    noisy_NL: np.ndarray | None
    labels: "pd.DataFrame"

    def __len__(self) -> int:
        return len(self.flux_NL)

    @property
    def pixels(self) -> int:
        """Pixels of each spectrum."""
        return int(self.flux_NL.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, labels not counted."""
        arrays = (self.flux_NL, self.error_NL, self.noisy_NL)
        return sum(array.nbytes for array in arrays if array is not None)

    def take(self, rows: np.ndarray | slice) -> "Spectra":
        """Selects rows, in the order given; a slice gives views, an index array copies."""
        return Spectra(
            self.flux_NL[rows],
            self.error_NL[rows],
            None if self.noisy_NL is None else self.noisy_NL[rows],
            self.labels.iloc[rows].reset_index(drop=True),
        )


def bytes_in_memory(selection: Selection, noisy: bool = False, stored_as: str = "float32") -> int:
    """Bytes that `load_spectra` will need for a selection, known from headers alone."""
    arrays = 3 if noisy and selection.has_noisy else 2
    return arrays * len(selection) * selection.pixels * np.dtype(stored_as).itemsize


def load_spectra(selection: Selection, blocks: Iterable[Block]) -> Spectra:
    """Gathers the blocks of a selection, in any order, into one set of arrays.

    The arrays are allocated once, in the number format of the blocks, and each block is copied to its place: the peak
    is the result plus the blocks in flight.

    Args:
        selection: What the blocks are of.
        blocks: Every spectrum of the selection once, as `iter_blocks` or `iter_blocks_ray` give them.

    Raises:
        ValueError: A spectrum came twice or not at all, or noisy came for some only; the caller paired the wrong
            blocks with this selection.
    """
    spectra, pixels = len(selection), selection.pixels
    flux_NL = error_NL = np.empty((0, pixels), np.float32)
    noisy_NL: np.ndarray | None = None
    times_N, with_noisy = np.zeros(spectra, dtype=np.uint8), 0
    for block in blocks:
        if not times_N.any():
            flux_NL, error_NL = (np.empty((spectra, pixels), block.flux_BL.dtype) for _ in range(2))
        rows = _as_slice(block.rows_B)
        times_N[rows] += 1
        flux_NL[rows] = block.flux_BL
        error_NL[rows] = block.error_BL
        if block.noisy_BL is not None:
            if noisy_NL is None:
                noisy_NL = np.empty_like(flux_NL)
            noisy_NL[rows] = block.noisy_BL
            with_noisy += len(block)
    if not (times_N == 1).all():
        missing, twice = int((times_N == 0).sum()), int((times_N > 1).sum())
        raise ValueError(f"{missing} of {spectra} spectra did not arrive and {twice} came twice.")
    if with_noisy not in (0, spectra):
        raise ValueError(f"{with_noisy} of {spectra} spectra came with noisy: ask for it only when all shards have it.")
    return Spectra(flux_NL, error_NL, noisy_NL, selection.labels())


def _as_slice(rows_B: np.ndarray) -> np.ndarray | slice:
    """Turns a run of consecutive rows into a slice: copying to a slice is one memcpy, fancy indexing is not."""
    if len(rows_B) and rows_B[-1] - rows_B[0] == len(rows_B) - 1 and (np.diff(rows_B) == 1).all():
        return slice(int(rows_B[0]), int(rows_B[-1]) + 1)
    return rows_B
