"""Training spectra become their components in the subspace of the signal: shards are read in order, once and a sample.

A thread reads ahead; of each block, pieces that stay in the caches go through `fill_moments` and two products, one
thread a piece. Memory is what waits to be worked on and the result.
Shape suffixes: N spectra, P spectra of a piece, L pixels, K components, R shared matrices.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from functools import partial

import numpy as np
import torch

from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.noise.clipped_moments import compile_moments, fill_moments
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.invalid_pixels import compile_search
from spectral_search.tasks.spectra.shards.read_ahead import read_ahead
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.spread_sample import spread
from spectral_search.tasks.spectra.signal.components import Components
from spectral_search.tasks.spectra.signal.noise_covariance import SharedCovariance, covariances, share
from spectral_search.tasks.spectra.training.dataset import oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

_SAMPLED_SPECTRA = 512
"""Whose covariances the shared matrices are made of, and tested on, half each."""
_PIECE_ROWS = 64
_WAITING_BYTES = 128 << 20

Told = Callable[[int, int], None]
"""Hears how many spectra are done, and how many there are."""


def unheard(done: int, total: int) -> None:
    """Tells nobody."""


def compress(
    selection: Selection,
    read: Callable[[], Iterator[Block]],
    prep: Preprocessing,
    noise_level: float,
    told: Told = unheard,
) -> Components:
    """Read a selection and keep its components.

    Args:
        selection: The training spectra, noise-free.
        read: Begins to read them, block by block in any order, as they are stored.
        prep: Statistics of the training set, with the subspace.
        noise_level: Factor on the error.
        told: Called with the spectra that are done, and all there are.
    """
    compile_search()
    moments = _Moments(prep, noise_level)
    labels = selection.labels()
    mean_NK = np.empty((len(selection), moments.components), np.float32)

    def fill(block: Block, part: slice) -> None:
        rows = slice(int(block.rows_B[0]) + part.start, int(block.rows_B[0]) + part.stop)
        mean_PL, variance_PL = moments(block.flux_BL[part], block.error_BL[part])
        torch.mm(mean_PL, moments.directions_LK, out=torch.from_numpy(mean_NK[rows]))
        mix_NR[rows] = shared.mix((variance_PL @ weights_LR).numpy())

    done = 0
    with closing(read_ahead(_generator(read), _WAITING_BYTES)) as blocks:
        first = [next(blocks)]  # and the thread goes on, while there is little to do for another
        shared = _shared_covariance(selection, moments, prep)
        weights_LR = torch.from_numpy(shared.weights_LR)
        mix_NR = np.empty((len(selection), len(shared.factors_RKK)), np.float32)
        for block in _chained(first, blocks):
            for_each(partial(fill, block), _pieces(len(block)))
            done += len(block)
            told(done, len(selection))
    log_g_N = labels["log_g"].to_numpy(np.float32)
    factors_RKK = shared.factors_RKK if noise_level > 0 else shared.factors_RKK[:0]
    return Components(mean_NK, mix_NR[:, : len(factors_RKK)], factors_RKK, log_g_N, oracle_bins(labels), shared.error)


def project(noisy_DNL: np.ndarray, prep: Preprocessing) -> np.ndarray:
    """Components of conditioned spectra in units of the noise, float32 of shape (D, N, K)."""
    centre_L, inverse_noise_L = _statistics(prep)
    weight_LK = torch.from_numpy(prep.directions_LK * inverse_noise_L[:, None])
    draws, count, pixels = noisy_DNL.shape
    component_DNK = np.empty((draws, count, prep.directions_LK.shape[1]), np.float32)
    noisy_ML, component_MK = noisy_DNL.reshape(-1, pixels), component_DNK.reshape(draws * count, -1)

    def fill(part: slice) -> None:
        shifted_PL = torch.from_numpy(noisy_ML[part] - centre_L)
        torch.mm(shifted_PL, weight_LK, out=torch.from_numpy(component_MK[part]))

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
        self.directions_LK = torch.from_numpy(prep.directions_LK)

    @property
    def components(self) -> int:
        return self.directions_LK.shape[1]

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
        # Fresh pages would cost as much as the work that is done in them.
        held: np.ndarray | None = getattr(self._scratch, "held", None)
        if held is None or held.shape[1] < shape[0]:
            held = self._scratch.held = np.empty((2, *shape), np.float32)
        return held[0, : shape[0]], held[1, : shape[0]]


def _statistics(prep: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Centre and inverse noise of each pixel, float32 and contiguous."""
    return np.ascontiguousarray(prep.centre_L, np.float32), np.ascontiguousarray(prep.inverse_noise_L, np.float32)


def _shared_covariance(selection: Selection, moments: _Moments, prep: Preprocessing) -> SharedCovariance:
    sample = spread(selection, _SAMPLED_SPECTRA)
    variance_NL = np.empty((len(sample), sample.pixels), np.float32)

    def fill(block: Block, part: slice) -> None:
        rows = slice(int(block.rows_B[0]) + part.start, int(block.rows_B[0]) + part.stop)
        variance_NL[rows] = moments(block.flux_BL[part], block.error_BL[part])[1].numpy()

    for block in iter_blocks(sample):
        for_each(partial(fill, block), _pieces(len(block)))
    covariance_NKK = covariances(variance_NL, prep.directions_LK)
    found: list[SharedCovariance] = []
    for_each(lambda matrices_NKK: found.append(share(matrices_NKK, prep.directions_LK)), [covariance_NKK])
    return found[0]


def _chained(first: list[Block], rest: Iterator[Block]) -> Iterator[Block]:
    """Holds no block that it has passed on."""
    yield first.pop()
    yield from rest


def _generator(read: Callable[[], Iterator[Block]]) -> Generator[Block]:
    yield from read()
