"""Streamed epochs: read ahead by one window, mixed, whole, and over when the consumer is."""

import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from small_shards import PIXELS, make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.blocks import Block, Condition, RowRange, iter_blocks, read_ranges
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.ray_blocks import iter_blocks_ray
from spectral_search.tasks.spectra.shards.read_ahead import read_ahead
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training import streamed_spectra as stream
from spectral_search.tasks.spectra.training.dataset import Stream, oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing
from spectral_search.tasks.spectra.training.streamed_spectra import ReadBlocks, StreamSource, read_plainly

SPECTRA = 220
RANGE_ROWS, WINDOW_ROWS = 16, 48


@dataclass
class WatchedReader:
    """Reads a window ahead with plain h5py and counts the blocks."""

    read: int = 0
    closed: bool = False

    def __call__(self, ranges: list[RowRange], noisy: bool, condition: Condition) -> Generator[Block]:
        return read_ahead(self._watched(read_ranges(ranges, noisy, condition)), stream.WINDOW_BYTES)

    def _watched(self, blocks: Generator[Block]) -> Generator[Block]:
        try:
            for block in blocks:
                self.read += 1
                yield block
        finally:
            self.closed = True


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    make_shard(tmp_path / "train_0/dataset.h5", 120)
    make_shard(tmp_path / "train_1/dataset.h5", 100, seed=1, shift=1000.0)
    return Selection.all_of(DataRoot.find(tmp_path).train)


@pytest.fixture
def streamed(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> Callable[[ReadBlocks], StreamSource]:
    """Makes sources that stream 220 spectra in windows of 48 from ranges of 16."""
    monkeypatch.setattr(stream, "RANGE_BYTES", RANGE_ROWS * 8 * PIXELS)
    monkeypatch.setattr(stream, "WINDOW_BYTES", WINDOW_ROWS * 8 * PIXELS)
    labels = selection.labels()
    log_g_N = labels["log_g"].to_numpy(np.float32)
    prep = fit_preprocessing(iter_blocks(selection), log_g_N, selection.pixels)
    spectra = Stream(selection, log_g_N, oracle_bins(labels))
    return lambda read_blocks: StreamSource(spectra, prep, torch.device("cpu"), read_blocks)


def flux_of(source: StreamSource, seed: int = 42, epoch: int = 1) -> torch.Tensor:
    """A valid pixel of every spectrum of an epoch, which names it."""
    return torch.cat([batch.flux_NL[:, 5] for batch in source.epoch(seed, epoch, 32)])


def test_batches_mix_distant_rows(streamed: Callable[[ReadBlocks], StreamSource]) -> None:
    """A window of several blocks in shuffled order: batches do not march through the shards."""
    places_N = flux_of(streamed(read_ranges)).argsort().argsort()
    assert np.abs(np.corrcoef(places_N, np.arange(SPECTRA))[0, 1]) < 0.5
    first_window = places_N[:WINDOW_ROWS].sort().values
    assert (first_window.diff() > 1).sum() > 20 or first_window[-1] - first_window[0] > 60


def test_the_next_window_is_read_while_one_is_in_use_and_no_more(
    streamed: Callable[[ReadBlocks], StreamSource],
) -> None:
    reader = WatchedReader()
    batches = streamed(reader).epoch(42, 1, 8)
    next(batches)
    for _ in range(500):
        if reader.read == 6:
            break
        threading.Event().wait(0.01)
    threading.Event().wait(0.05)
    assert reader.read == 2 * WINDOW_ROWS // RANGE_ROWS
    batches.close()


def test_an_abandoned_epoch_leaves_neither_thread_nor_open_reader(
    streamed: Callable[[ReadBlocks], StreamSource],
) -> None:
    threads, reader = threading.active_count(), WatchedReader()
    batches = streamed(reader).epoch(42, 1, 8)
    next(batches)
    batches.close()
    assert reader.closed
    assert reader.read < SPECTRA // RANGE_ROWS
    assert threading.active_count() == threads


def test_a_finished_epoch_leaves_no_thread(streamed: Callable[[ReadBlocks], StreamSource]) -> None:
    threads, source = threading.active_count(), streamed(read_plainly)
    assert len(flux_of(source).unique()) == len(flux_of(source, epoch=2).unique()) == SPECTRA
    assert threading.active_count() == threads


def test_a_stream_that_ends_early_is_an_error(streamed: Callable[[ReadBlocks], StreamSource]) -> None:
    def first_half(ranges: list[RowRange], noisy: bool, condition: Condition) -> Generator[Block]:
        return read_ranges(ranges[: len(ranges) // 2], noisy, condition)

    with pytest.raises(RuntimeError, match="ended before the epoch"):
        flux_of(streamed(first_half))


def test_a_shard_that_breaks_under_way_is_named(
    streamed: Callable[[ReadBlocks], StreamSource], selection: Selection
) -> None:
    threads, source = threading.active_count(), streamed(read_plainly)
    selection.shards[1].path.write_bytes(b"gone")
    with pytest.raises(RequestError) as error:
        flux_of(source)
    assert "train_1/dataset.h5: not an HDF5 file" in error.value.faults[0]
    assert threading.active_count() == threads


@pytest.mark.usefixtures("small_ray")
@pytest.mark.slow
def test_ray_data_gives_the_batches_of_plain_h5py(
    streamed: Callable[[ReadBlocks], StreamSource], selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, through_ray = streamed(read_plainly), streamed(iter_blocks_ray)
    for ours, theirs in zip(through_ray.epoch(42, 3, 50), plain.epoch(42, 3, 50), strict=True):
        assert torch.equal(ours.flux_NL, theirs.flux_NL)
        assert torch.equal(ours.error_NL, theirs.error_NL)
        assert torch.equal(ours.log_g_B, theirs.log_g_B)
    selection.shards[0].path.write_bytes(b"gone")
    with pytest.raises(RequestError, match="train_0/dataset.h5: not an HDF5 file"):
        flux_of(through_ray)


MEASURE = r"""
import re, sys
from pathlib import Path
import numpy as np, torch
from spectral_search.tasks.spectra.training import streamed_spectra as stream
from spectral_search.tasks.spectra.training.dataset import Stream
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.invalid_pixels import compile_search
compile_search()  # LLVM's own memory is no matter of how much is streamed
stream.WINDOW_BYTES, stream.RANGE_BYTES = 32 << 20, 4 << 20
selection = Selection.all_of(DataRoot.find(sys.argv[1]).train)
L, N = selection.pixels, len(selection)
ones = np.ones(L, np.float32)
prep = Preprocessing(1.0, 3.0, 1.0, ones > 0, *[ones] * 6, np.ones(101, np.float32), np.zeros(0, np.int64))
labelled = Stream(selection, np.ones(N, np.float32), np.zeros(N, np.int64))
source = stream.StreamSource(labelled, prep, torch.device("cpu"), stream.read_plainly)
# Not ru_maxrss, which a process inherits from the one that started it.
peak = lambda: int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before, spectra = peak(), 0
for batch in source.epoch(1, 1, 128):
    spectra += len(batch.log_g_B)
assert spectra == N
print(peak() - before)
"""


@pytest.mark.slow
def test_streaming_memory_is_bounded_by_two_windows(tmp_path: Path) -> None:
    """393 MB of float32 spectra through windows of 32 MB."""
    make_shard(tmp_path / "train/dataset.h5", 24_000, pixels=2048, chunk_rows=64)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    # Two windows, the block being read, and reading buffers; all spectra would take 375 MB.
    assert float(done.stdout) < 150
