"""Reading: spectra per second streamed and materialised, by a thread and by Ray Data, beside plain h5py on one file.

Shape suffixes: B spectra of a block, L pixels.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.measured_shards import plain_blocks, shards_of
from benchmarks.repeated_spectra import SEED
from benchmarks.resident_memory import MemoryWatch
from spectral_search.run.driver import STREAM_STORE_BYTES
from spectral_search.run.ray_session import ray_session
from spectral_search.run.run_lock import Stopping
from spectral_search.spec.search import ResourcesSpec
from spectral_search.tasks.spectra.shards.blocks import Block, epoch_ranges, iter_blocks, row_ranges
from spectral_search.tasks.spectra.shards.loaded_spectra import load_spectra
from spectral_search.tasks.spectra.shards.ray_blocks import iter_blocks_ray, iter_selection_ray
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.simulator.simulate import BLOCK_ROWS
from spectral_search.tasks.spectra.training.dataset import Stream, oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing
from spectral_search.tasks.spectra.training.streamed_spectra import RANGE_BYTES, ReadBlocks, StreamSource, read_plainly
from spectral_search.train.devices import plan_slots
from spectral_search.train.process_memory import keep_freed_memory

_BATCH = 2048
_EPOCHS = 4
"""Epochs streamed after the first; the best is the steady state."""
_PHYSICS = (
    "Plain h5py reads flux and error of four shards with read_direct into one float32 buffer, block after block: the "
    "page cache is warm, so it is bound by copies in memory and, for float64, by HDF5's own conversion. What a search "
    "reads comes in the shuffled order of an epoch, a new one each time; it is searched for invalid values, and waits "
    "in memory, for it is read ahead. Uncompressed shards, as these, are read by a thread of the process that needs "
    "them. Ray Data, which reads compressed ones, adds a copy to the object store and worker processes, which the "
    "first epoch has to start. Memory is summed over this process and Ray's (a page that n processes share counts as "
    "1/n in each)."
)


@dataclass(frozen=True)
class Sizes:
    """Spectra of the speed and of the memory measurement, and pixels."""

    fast: int
    large: int
    pixels: int


_FULL = Sizes(32_768, 65_536, 4096)
_QUICK = Sizes(512, 1024, 256)


def measure(context: BenchContext) -> Findings:
    """Read float32 and float64 shards every way there is."""
    sizes = _QUICK if context.quick else _FULL
    keep_freed_memory()  # as every process that trains
    rows: list[Row] = []
    for dtype, spectra in (("float64", sizes.large), ("float32", sizes.fast)):
        context.say(f"reading: {spectra:,} spectra of {sizes.pixels} pixels as {dtype}")
        with shards_of(context.scratch, spectra, sizes.pixels, dtype) as selection:
            if dtype == "float64":
                # In a session of its own, and first: an object store keeps what it has once held.
                with _ray():
                    rows.append(_memory(selection))
            with _ray():
                rows += _speeds(selection, dtype)
    return Findings(rows, _PHYSICS)


@contextmanager
def _ray() -> Iterator[None]:
    """A session that SIGTERM ends in good order: Ray's own handler of it prints a stack and aborts."""
    stopping, resources = Stopping("Stopped at once."), ResourcesSpec()
    session = ray_session(resources, plan_slots(resources), data_bytes=STREAM_STORE_BYTES, dashboard=False)
    with stopping.listening(), session:
        stopping.listen()
        yield


def _speeds(selection: Selection, dtype: str) -> list[Row]:
    in_order = row_ranges(selection, RANGE_BYTES)
    first = _rate(read_plainly(epoch_ranges(in_order, SEED, 0)))
    first_ray = _rate(iter_blocks_ray(epoch_ranges(in_order, SEED, 0)))
    # They take turns, so that a disturbance of the machine falls on all of them.
    turns = [
        (_rate(plain_blocks(selection)), _rate(read_plainly(ranges)), _rate(iter_blocks_ray(ranges)))
        for ranges in (epoch_ranges(in_order, SEED, epoch) for epoch in range(1, _EPOCHS + 1))
    ]
    plain, steady, steady_ray = (max(rates) for rates in zip(*turns, strict=True))
    batches, batches_ray = (_batch_rate(selection, read) for read in (read_plainly, iter_blocks_ray))
    loaded = max(_loading_rate(selection, iter_blocks) for _ in range(2))
    loaded_ray = max(_loading_rate(selection, iter_selection_ray) for _ in range(2))
    peer = "plain h5py, same file"

    def row(name: str, value: float, target: Target | None = None) -> Row:
        return Row(f"{dtype}: {name}", value, "spectra/s", peer, plain, target)

    return [
        row("streamed, first epoch", first),
        row("streamed, steady", steady, Target("at least", 0.8)),
        row("streamed, as shuffled training batches", batches),
        row("materialised", loaded),
        row("by Ray Data: streamed, first epoch", first_ray),
        row("by Ray Data: streamed, steady", steady_ray),
        row("by Ray Data: as shuffled training batches", batches_ray),
        row("by Ray Data: materialised", loaded_ray),
    ]


def _memory(selection: Selection) -> Row:
    """The most that streaming this selection's training batches takes, shuffle window included."""
    source = _training_stream(selection)
    with MemoryWatch() as watch:
        for _ in source.epoch(SEED, 1, _BATCH):
            pass
    read_gb = sum(shard.bytes for shard in selection.shards) / 1e9
    name = f"memory of all processes, streaming batches of {read_gb:.1f} GB"
    return Row(name, watch.peak_bytes / 1e9, "GB", target=Target("at most", 2.0))


def _training_stream(selection: Selection, read: ReadBlocks = read_plainly) -> StreamSource:
    labels = selection.labels()
    log_g_N = labels["log_g"].to_numpy(np.float32)
    few = selection.take(np.arange(min(len(selection), BLOCK_ROWS)))
    prep = fit_preprocessing(iter_blocks(few), log_g_N[: len(few)], selection.pixels)
    stream = Stream(selection, log_g_N, oracle_bins(labels))
    return StreamSource(stream, prep, torch.device("cpu"), read)


def _rate(blocks: Iterable[Block | np.ndarray]) -> float:
    """Spectra per second of going through all blocks once."""
    started, spectra = time.perf_counter(), 0
    for block in blocks:
        spectra += len(block)
    return spectra / (time.perf_counter() - started)


def _loading_rate(selection: Selection, read: Callable[[Selection], Iterator[Block]]) -> float:
    started = time.perf_counter()
    load_spectra(selection, read(selection))
    return len(selection) / (time.perf_counter() - started)


def _batch_rate(selection: Selection, read: ReadBlocks) -> float:
    """Spectra per second of the second epoch of training batches; the first reads and starts things."""
    source = _training_stream(selection, read)
    for epoch in (1, 2):
        started = time.perf_counter()
        spectra = sum(len(batch.log_g_B) for batch in source.epoch(SEED, epoch, _BATCH))
    return spectra / (time.perf_counter() - started)
