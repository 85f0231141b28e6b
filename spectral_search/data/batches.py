"""Epochs of training batches, in an order that follows from (seed, epoch) alone.

Shape suffixes: N spectra, B spectra in a batch, L pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch

from spectral_search.data.blocks import Block, RowRange, epoch_ranges, read_ranges, row_ranges
from spectral_search.data.counter import counter_seed
from spectral_search.data.dataset import Dataset, Labelled, Stream, shared_tensor
from spectral_search.data.noise import generator
from spectral_search.data.preprocess import Preprocessing

DEVICE_SHARE = 0.5
"""Part of a trial's device memory that resident spectra may fill."""
BUFFER_BYTES = 512 << 20
"""Spectra shuffled together while streaming; several blocks, so that a batch mixes distant rows."""
STREAM_BLOCK_BYTES = 32 << 20

ReadBlocks = Callable[[list[RowRange]], Iterator[Block]]


@dataclass(frozen=True)
class Batch:
    """Noise-free spectra of one step.

    Attributes:
        index: Counts the steps of the epoch from 0.
        flux_NL: The batch's spectra, or where `rows_B` is set the set that it is a part of.
        error_NL: Likewise.
        log_g_B: Labels in dex, on the device that trains.
        bin_B: T_eff x [M/H] bins, likewise.
        rows_B: The batch's rows of `flux_NL` and `error_NL`: they are gathered only where they are used.
    """

    index: int
    flux_NL: torch.Tensor
    error_NL: torch.Tensor
    log_g_B: torch.Tensor
    bin_B: torch.Tensor
    rows_B: torch.Tensor | None = None

    def spectra(self, part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        """Flux and error of a part of the batch, float32, on the device that trains."""
        if self.rows_B is None:
            return self.flux_NL[part], self.error_NL[part]
        rows_P, device = self.rows_B[part], self.log_g_B.device
        flux_PL, error_PL = (
            values_NL.index_select(0, rows_P).to(device) for values_NL in (self.flux_NL, self.error_NL)
        )
        return flux_PL, error_PL


class TrainSource(Protocol):
    """Training spectra, delivered once each in every epoch."""

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch."""

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of one epoch (counted from 1) in their order."""


def train_source(
    dataset: Dataset, device: torch.device, read_blocks: ReadBlocks = read_ranges, share: float = 1.0
) -> TrainSource:
    """The source that fits the dataset; `read_blocks` is how a streamed one is read, `share` as in `ResidentSource`."""
    if isinstance(dataset.train, Labelled):
        return ResidentSource(dataset.train, device, share)
    return StreamSource(dataset.train, dataset.prep, device, read_blocks)


def batch_bounds(spectra: int, batch_size: int) -> np.ndarray:
    """Row bounds, int64, of batches whose sizes differ by at most one, so that no step trains on a small remainder.

    No batch holds a single spectrum unless `batch_size` is 1: batch statistics need two.
    """
    batches = max(1, round(spectra / batch_size))
    if batch_size > 1:
        batches = max(1, min(batches, spectra // 2))
    return np.arange(batches + 1, dtype=np.int64) * spectra // batches


def fits_device(nbytes: int, device: torch.device, share: float) -> bool:
    """Whether spectra of so many bytes leave a device room to train; always true of the CPU, where they are already."""
    if device.type != "cuda":
        return True
    _, total = torch.cuda.mem_get_info(device)
    return nbytes <= DEVICE_SHARE * share * total


class ResidentSource:
    """Spectra held in memory, shuffled anew each epoch.

    Args:
        train: The spectra.
        device: Where the batches go.
        share: Part of the device that this process may fill. Spectra that take more than half of it stay in the host's
            memory, which all trials of a node share, and go over batch by batch.
    """

    def __init__(self, train: Labelled, device: torch.device, share: float = 1.0) -> None:
        self._device = device
        self._home = device if fits_device(train.nbytes, device, share) else torch.device("cpu")
        self._flux_NL = shared_tensor(train.flux_NL, self._home)
        self._error_NL = shared_tensor(train.error_NL, self._home)
        self._log_g_N = shared_tensor(train.log_g_N, self._home)
        self._bin_N = shared_tensor(train.bin_N, self._home)

    def steps(self, batch_size: int) -> int:
        return len(batch_bounds(len(self._log_g_N), batch_size)) - 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        # The order is drawn on the CPU: it must not depend on the kind of device.
        order_N = torch.randperm(len(self._log_g_N), generator=generator("cpu", seed, "order", epoch))
        order_N = order_N.to(self._home)
        bounds = batch_bounds(len(order_N), batch_size)
        for index, (start, stop) in enumerate(pairwise(bounds.tolist())):
            rows_B = order_N[start:stop]
            yield Batch(
                index,
                self._flux_NL,
                self._error_NL,
                self._log_g_N.index_select(0, rows_B).to(self._device),
                self._bin_N.index_select(0, rows_B).to(self._device),
                rows_B,
            )


class StreamSource:
    """Spectra read again each epoch: blocks in a shuffled order, rows shuffled within a buffer of blocks.

    Memory is bounded by the buffer whatever the size of the shards.
    """

    def __init__(self, stream: Stream, prep: Preprocessing, device: torch.device, read_blocks: ReadBlocks) -> None:
        self._stream, self._prep, self._device, self._read_blocks = stream, prep, device, read_blocks
        self._ranges = row_ranges(stream.selection, STREAM_BLOCK_BYTES)

    def steps(self, batch_size: int) -> int:
        return len(batch_bounds(len(self._stream), batch_size)) - 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        order_seed = counter_seed(seed, "order", epoch)
        blocks = self._read_blocks(epoch_ranges(self._ranges, order_seed, epoch))
        shuffle = _WindowShuffle(blocks, self._prep, np.random.default_rng(order_seed))
        for index, size in enumerate(np.diff(batch_bounds(len(self._stream), batch_size))):
            flux_BL, error_BL, position_B = shuffle.take(int(size))
            yield Batch(
                index,
                torch.from_numpy(flux_BL).to(self._device),
                torch.from_numpy(error_BL).to(self._device),
                torch.from_numpy(self._stream.log_g_N[position_B]).to(self._device),
                torch.from_numpy(self._stream.bin_N[position_B]).to(self._device),
            )


class _WindowShuffle:
    """Rows of a stream of blocks in random order within windows of BUFFER_BYTES."""

    def __init__(self, blocks: Iterator[Block], prep: Preprocessing, rng: np.random.Generator) -> None:
        self._blocks, self._prep, self._rng = blocks, prep, rng
        self._window: list[Block] = []
        self._block_W = self._row_W = np.zeros(0, np.int64)

    def take(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The next `size` spectra: flux_BL, error_BL and their positions in the selection."""
        flux_BL = np.empty((size, self._prep.pixels), np.float32)
        error_BL = np.empty_like(flux_BL)
        position_B = np.empty(size, np.int64)
        done = 0
        while done < size:
            if not len(self._row_W):
                self._next_window()
            count = min(size - done, len(self._row_W))
            block_B, row_B = self._block_W[:count], self._row_W[:count]
            self._block_W, self._row_W = self._block_W[count:], self._row_W[count:]
            for number in np.unique(block_B):
                (slot_P,) = np.nonzero(block_B == number)
                block, row_P = self._window[number], row_B[slot_P]
                flux_BL[done + slot_P] = block.flux_BL[row_P]
                error_BL[done + slot_P] = block.error_BL[row_P]
                position_B[done + slot_P] = block.rows_B[row_P]
            done += count
        return flux_BL, error_BL, position_B

    def _next_window(self) -> None:
        # The old window is let go before the next is read: memory holds one, not two.
        self._window, held_bytes = [], 0
        while held_bytes < BUFFER_BYTES and (block := next(self._blocks, None)) is not None:
            block = _writable(block)
            self._prep.conditioning(block.flux_BL, block.error_BL)
            self._window.append(block)
            held_bytes += block.flux_BL.nbytes + block.error_BL.nbytes
        if not self._window:
            raise RuntimeError("The stream of spectra ended before the epoch did.")
        lengths = [len(block) for block in self._window]
        order_W = self._rng.permutation(sum(lengths))
        self._block_W = np.repeat(np.arange(len(lengths)), lengths)[order_W]
        self._row_W = np.concatenate([np.arange(n) for n in lengths])[order_W]


def _writable(block: Block) -> Block:
    if block.flux_BL.flags.writeable and block.error_BL.flags.writeable:
        return block
    return replace(block, flux_BL=block.flux_BL.copy(), error_BL=block.error_BL.copy())
