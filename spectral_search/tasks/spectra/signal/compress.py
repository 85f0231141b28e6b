"""Training spectra become their components in the subspace of the signal: shards are read in order, once and a sample.

Each thread takes the next block, reads it where nobody has, and takes it through `fill_moments` and two products while
it is in the caches. What the second needs is made of the sample by one thread, while the others begin.
Memory is a block of each thread, what waits to be worked on, and the result.
Shape suffixes: N spectra, P spectra of a piece, L pixels, K components, R shared matrices.
"""

import math
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch

from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.noise.clipped_moments import compile_moments, fill_moments
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.shards.invalid_pixels import compile_search
from spectral_search.tasks.spectra.shards.read_ahead import read_ahead
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.spread_sample import spread
from spectral_search.tasks.spectra.shards.unlocked_hash import compile_hashes
from spectral_search.tasks.spectra.shards.unread_blocks import AnyBlock, iter_unread
from spectral_search.tasks.spectra.signal.components import Components
from spectral_search.tasks.spectra.signal.fixed_product import FixedProduct
from spectral_search.tasks.spectra.signal.noise_covariance import SharedCovariance, covariances, share
from spectral_search.tasks.spectra.training.dataset import oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

if TYPE_CHECKING:
    import pandas as pd

_SAMPLED_SPECTRA = 256
"""Whose covariances the shared matrices are made of, and tested on, half each."""
_PIECE_ROWS = 256
_LINE_BYTES = 64
_WAITING_BYTES = 128 << 20
_EARLY_BYTES = 128 << 20
"""Variances that may wait for the shared matrices."""

Told = Callable[[int, int], None]
"""Hears how many spectra are done, and how many there are, from one thread at a time."""


def unheard(done: int, total: int) -> None:
    """Tells nobody."""


def compress(
    selection: Selection,
    read: Callable[[], Iterator[AnyBlock]],
    prep: Preprocessing,
    noise_level: float,
    told: Told = unheard,
) -> Components:
    """Read a selection and keep its components.

    Args:
        selection: The training spectra, noise-free.
        read: Begins to read them, block by block in any order, as they are stored; blocks that are yet to be read are
            read by the threads that work on them.
        prep: Statistics of the training set, with the subspace.
        noise_level: Factor on the error.
        told: Called with the spectra that are done, and all there are.
    """
    compile_search()
    compile_hashes()
    moments = _Moments(prep, noise_level)
    sums = _Sums(len(selection), _sampled_covariances(selection, moments, prep), prep.directions_LK)
    in_directions = FixedProduct(torch.from_numpy(prep.directions_LK))
    mean_NK = np.empty((len(selection), prep.directions_LK.shape[1]), np.float32)
    labels: list[pd.DataFrame] = []
    done, counting = 0, threading.Lock()

    def work(block: AnyBlock | Callable[[], None]) -> None:
        nonlocal done
        if callable(block):
            block()
            return
        for rows, mean_PL, variance_PL in moments.of(block):
            mean_NK[rows] = in_directions(mean_PL).numpy()
            sums.add(rows, variance_PL)
        with counting:
            done += len(block)
            told(done, len(selection))

    with closing(read_ahead(_generator(read), _WAITING_BYTES)) as blocks:
        # What one thread does alone comes first: the others read already.
        for_each(work, chain([sums.share, lambda: labels.append(selection.labels())], blocks))
    log_g_N = labels[0]["log_g"].to_numpy(np.float32)
    shared, mix_NR = sums.mixtures()
    factors_RKK = shared.factors_RKK if noise_level > 0 else shared.factors_RKK[:0]
    return Components(
        mean_NK, mix_NR[:, : len(factors_RKK)], factors_RKK, log_g_N, oracle_bins(labels[0]), shared.error
    )


def project(noisy_DNL: np.ndarray, prep: Preprocessing) -> np.ndarray:
    """Components of conditioned spectra in units of the noise, float32 of shape (D, N, K)."""
    centre_L, inverse_noise_L = _statistics(prep)
    product = FixedProduct(torch.from_numpy(prep.directions_LK * inverse_noise_L[:, None]))
    draws, count, pixels = noisy_DNL.shape
    component_DNK = np.empty((draws, count, prep.directions_LK.shape[1]), np.float32)
    noisy_ML, component_MK = noisy_DNL.reshape(-1, pixels), component_DNK.reshape(draws * count, -1)

    def fill(part: slice) -> None:
        shifted_PL = torch.from_numpy(noisy_ML[part] - centre_L)
        component_MK[part] = product(shifted_PL).numpy()

    for_each(fill, _pieces(len(noisy_ML)))
    return component_DNK


def _pieces(rows: int) -> list[slice]:
    return [slice(start, min(start + _PIECE_ROWS, rows)) for start in range(0, rows, _PIECE_ROWS)]


class _Moments:
    """Callable (flux_PL, error_PL) -> means and variances of whitened noisy pixels, of spectra as they are read.

    What it gives is overwritten by the next call of the same thread.
    """

    def __init__(self, prep: Preprocessing, noise_level: float) -> None:
        compile_moments()
        self._centre_L, self._inverse_noise_L = _statistics(prep)
        self._noise_level, self._factor = noise_level, prep.conditioning.factor
        self._scratch = threading.local()

    def of(self, block: AnyBlock) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """The rows of each piece of a block within the selection, and what `fill_moments` makes of them.

        A block that is yet to be read is read by this thread.
        """
        if not isinstance(block, Block):
            block = block.read(self._read_into(len(block)))
        first = int(block.rows_B[0])
        for part in _pieces(len(block)):
            yield slice(first + part.start, first + part.stop), *self(block.flux_BL[part], block.error_BL[part])

    def __call__(self, flux_PL: np.ndarray, error_PL: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        mean_PL, variance_PL = self._memory(flux_PL.shape)
        fill_moments(
            flux_PL,
            error_PL,
            self._centre_L,
            self._inverse_noise_L,
            self._noise_level,
            mean_PL,
            variance_PL,
            self._factor,
        )
        return torch.from_numpy(mean_PL), torch.from_numpy(variance_PL)

    def _memory(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        return self._held("moments", shape)

    def _read_into(self, rows: int) -> dict[str, np.ndarray]:
        flux_BL, error_BL = self._held("spectra", (rows, len(self._centre_L)))
        return {"flux": flux_BL, "error": error_BL}

    def _held(self, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        # Fresh pages would cost as much as the work that is done in them.
        held: np.ndarray | None = getattr(self._scratch, name, None)
        if held is None or held.shape[1] < shape[0]:
            held = _aligned((2, *shape))
            setattr(self._scratch, name, held)
        return held[0, : shape[0]], held[1, : shape[0]]


class _Sums:
    """Variances of pixels become mixtures of the shared matrices, as soon as these are there; until then they wait.

    Args:
        spectra: N.
        covariance_NKK: Of a sample, that the matrices are made of.
        directions_LK: The directions of the subspace.
    """

    def __init__(self, spectra: int, covariance_NKK: np.ndarray, directions_LK: np.ndarray) -> None:
        self._spectra, self._covariance_NKK, self._directions_LK = spectra, covariance_NKK, directions_LK
        self._shared: SharedCovariance | None = None
        self._made = threading.Event()
        self._waiting: list[tuple[slice, torch.Tensor]] = []

    def share(self) -> None:
        """Make the matrices; other threads go on meanwhile, until much waits for them."""
        try:
            shared = share(self._covariance_NKK, self._directions_LK)
            self._weighted = FixedProduct(torch.from_numpy(shared.weights_LR))
            self._mix_NR = np.empty((self._spectra, len(shared.factors_RKK)), np.float32)
            self._shared = shared
        finally:
            # After a fault too, or the threads that wait for the matrices would wait for ever.
            self._made.set()

    def add(self, rows: slice, variance_PL: torch.Tensor) -> None:
        """Take note of the variances of some spectra."""
        # Without a lock: threads that look at the same time go beyond the bound by a piece each, which does no harm.
        if not self._made.is_set() and sum(held_PL.nbytes for _, held_PL in self._waiting) < _EARLY_BYTES:
            # A copy, for the thread's next piece overwrites the original.
            self._waiting.append((rows, variance_PL.clone()))
            return
        self._made.wait()
        self._fill((rows, variance_PL))

    def mixtures(self) -> tuple[SharedCovariance, np.ndarray]:
        """The matrices, and the mixtures of all spectra, float32 (N, R)."""
        for_each(self._fill, self._waiting)
        assert self._shared is not None
        return self._shared, self._mix_NR

    def _fill(self, piece: tuple[slice, torch.Tensor]) -> None:
        rows, variance_PL = piece
        if self._shared is not None:  # else `share` has failed, and says so
            self._mix_NR[rows] = self._shared.mix(self._weighted(variance_PL).numpy())


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Memory of numpy's, which asks for large pages as torch does not, from the beginning of a line of the cache on."""
    size = 4 * math.prod(shape)
    whole = np.empty(size + _LINE_BYTES, np.uint8)
    start = -whole.ctypes.data % _LINE_BYTES
    return whole[start : start + size].view(np.float32).reshape(shape)


def _statistics(prep: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Centre and inverse noise of each pixel, float32 and contiguous."""
    return np.ascontiguousarray(prep.centre_L, np.float32), np.ascontiguousarray(prep.inverse_noise_L, np.float32)


def _sampled_covariances(selection: Selection, moments: _Moments, prep: Preprocessing) -> np.ndarray:
    sample = spread(selection, _SAMPLED_SPECTRA)
    variance_NL = np.empty((len(sample), sample.pixels), np.float32)

    def fill(block: AnyBlock) -> None:
        for rows, _, variance_PL in moments.of(block):
            variance_NL[rows] = variance_PL.numpy()

    for_each(fill, iter_unread(sample))
    return covariances(variance_NL, prep.directions_LK)


def _generator(read: Callable[[], Iterator[AnyBlock]]) -> Generator[AnyBlock]:
    yield from read()
