"""Training spectra that are read again each epoch: shuffled by blocks, then within windows, at constant memory.

Members train on one window while the next is read; there are never more than these two.
Shape suffixes: B spectra in a batch, L pixels, W spectra of a window.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch

from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.task.counter import counter_seed
from spectral_search.tasks.spectra.shards.blocks import (
    Block,
    Condition,
    RowRange,
    array_names,
    epoch_ranges,
    read_ranges,
    row_ranges,
)
from spectral_search.tasks.spectra.shards.buffers import Buffers
from spectral_search.tasks.spectra.shards.invalid_pixels import compile_search
from spectral_search.tasks.spectra.shards.read_ahead import read_ahead
from spectral_search.tasks.spectra.training.dataset import Stream
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.training.training_batches import Batch

RANGE_BYTES, _PACKED_RANGE_BYTES = 8 << 20, 16 << 20
"""Spectra that stay together until they are shuffled within their window: small, so that a window mixes many. More in
compressed shards, where a range that is a part of a chunk costs the whole chunk."""
WINDOW_BYTES = 192 << 20
"""Spectra that are shuffled together."""


class ReadBlocks(Protocol):
    """How ranges are read: a generator of their blocks in the order given, which reads ahead of its consumer."""

    def __call__(
        self, ranges: list[RowRange], noisy: bool = False, condition: Condition | None = None
    ) -> Generator[Block]: ...


def read_plainly(ranges: list[RowRange], noisy: bool = False, condition: Condition | None = None) -> Generator[Block]:
    """By a thread of this process, a window ahead; `iter_blocks_ray` does the same with other processes."""
    buffers = _buffers(ranges, noisy) if ranges else None
    return read_ahead(_read(ranges, noisy, condition, buffers), WINDOW_BYTES)


def _buffers(ranges: list[RowRange], noisy: bool) -> Buffers:
    """For a window in use and one that waits, with a block at each end of them."""
    largest = max(ranges, key=len)
    blocks = min(len(ranges), 2 * (WINDOW_BYTES // largest.nbytes + 2))
    return Buffers(len(largest), largest.shard.pixels, blocks * len(array_names(noisy)))


def _read(
    ranges: list[RowRange], noisy: bool, condition: Condition | None, buffers: Buffers | None
) -> Generator[Block]:
    compile_search()  # not before there is a thread for it
    yield from read_ranges(ranges, noisy, condition, buffers)


class StreamSource:
    """Batches of spectra that do not fit into memory.

    Args:
        stream: Which spectra, with their labels.
        prep: Brings them into the units of training as they are read.
        device: Where the batches go.
        read_blocks: Reads them.
    """

    def __init__(self, stream: Stream, prep: Preprocessing, device: torch.device, read_blocks: ReadBlocks) -> None:
        self._stream, self._condition, self._device = stream, prep.conditioning, device
        self._read_blocks = read_blocks
        self._ranges = row_ranges(
            stream.selection, _PACKED_RANGE_BYTES if stream.selection.is_compressed else RANGE_BYTES
        )

    def steps(self, batch_size: int) -> int:
        return len(batch_bounds(len(self._stream), batch_size)) - 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        order_seed = counter_seed(seed, "order", epoch)
        ranges = epoch_ranges(self._ranges, order_seed, epoch)
        blocks = self._read_blocks(ranges, False, self._condition)
        sizes = np.diff(batch_bounds(len(self._stream), batch_size)).tolist()
        # Whoever takes the batches may stop in mid-epoch, and then what reads ahead must end too.
        with closing(blocks):
            batches = _shuffled(blocks, sizes, self._stream.selection.pixels, np.random.default_rng(order_seed))
            for index, (flux_BL, error_BL, position_B) in enumerate(batches):
                yield Batch(
                    index,
                    torch.from_numpy(flux_BL).to(self._device),
                    torch.from_numpy(error_BL).to(self._device),
                    torch.from_numpy(self._stream.log_g_N[position_B]).to(self._device),
                    torch.from_numpy(self._stream.bin_N[position_B]).to(self._device),
                )


class _Window:
    """Blocks whose spectra are given out in random order."""

    def __init__(self, blocks: list[Block], rng: np.random.Generator) -> None:
        self._blocks = blocks
        lengths = [len(block) for block in blocks]
        order_W = rng.permutation(sum(lengths))
        self._block_W = np.repeat(np.arange(len(lengths)), lengths)[order_W]
        self._row_W = np.concatenate([np.arange(length) for length in lengths])[order_W]

    def __len__(self) -> int:
        return len(self._row_W)

    def take(self, flux_BL: np.ndarray, error_BL: np.ndarray, position_B: np.ndarray) -> None:
        """Fills arrays with the next spectra and their positions in the selection; there must be as many left.

        They come block by block, for their order within a batch decides nothing but which noise each gets: so each is
        copied once, to its place.
        """
        count = len(position_B)
        order_B = np.argsort(self._block_W[:count], kind="stable")
        block_B, row_B = self._block_W[order_B], self._row_W[order_B]
        self._block_W, self._row_W = self._block_W[count:], self._row_W[count:]
        starts = np.flatnonzero(np.diff(block_B, prepend=-1)).tolist()
        for start, stop in pairwise([*starts, count]):
            block, row_P = self._blocks[block_B[start]], row_B[start:stop]
            for values_BL, taken_BL in ((block.flux_BL, flux_BL), (block.error_BL, error_BL)):
                # "clip" and not "raise", which takes a copy first so as to leave nothing half done.
                np.take(values_BL, row_P, axis=0, out=taken_BL[start:stop], mode="clip")
            position_B[start:stop] = block.rows_B[row_P]


def _shuffled(
    blocks: Iterator[Block], sizes: Iterable[int], pixels: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, ...]]:
    """Batches of these sizes - flux_BL, error_BL, positions in the selection - wherever a window may end."""
    window: _Window | None = None
    for size in sizes:
        flux_BL, error_BL = (np.empty((size, pixels), np.float32) for _ in range(2))
        position_B, done = np.empty(size, np.int64), 0
        while done < size:
            if not window:
                window = None  # let go before the next is begun
                window = _next_window(blocks, rng)
            if window is None:
                raise RuntimeError("The stream of spectra ended before the epoch did.")
            here = slice(done, done + min(size - done, len(window)))
            window.take(flux_BL[here], error_BL[here], position_B[here])
            done = here.stop
        yield flux_BL, error_BL, position_B


def _next_window(blocks: Iterator[Block], rng: np.random.Generator) -> _Window | None:
    held: list[Block] = []
    for block in blocks:
        held.append(block)
        if sum(part.nbytes for part in held) >= WINDOW_BYTES:
            break
    return _Window(held, rng) if held else None
