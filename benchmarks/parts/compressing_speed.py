"""Compressing: training spectra to components of the signal, beside plain h5py reading the same files.

Shape suffixes: L pixels, K components.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.measured_shards import plain_blocks, shards_of
from benchmarks.resident_memory import MemoryWatch
from spectral_search.record.array_cache import ArrayCache
from spectral_search.tasks.spectra.shards.split import Splits
from spectral_search.tasks.spectra.shards.unread_blocks import iter_unread
from spectral_search.tasks.spectra.signal.compress import compress
from spectral_search.tasks.spectra.signal.kept_components import kept_components
from spectral_search.tasks.spectra.signal.subspace_sample import see_subspace
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.train.process_memory import keep_freed_memory

_COMPONENTS = 64
_TURNS = 3
_FULL, _QUICK = (65_536, 4096), (1024, 256)
"""Training spectra and pixels, of float32 shards."""
_STORED = ("float32", "float64")
"""Of float64 there are a quarter as many spectra, with a mask of int64: what their usual writer stores."""
_PHYSICS = (
    "Plain h5py reads all bytes of four shards as they are stored, in chunks of 64 spectra, with read_direct into one "
    "buffer an array in order, and does nothing with them; the page cache is warm. Compressing reads the same bytes "
    "once, and before that 256 spectra whose covariances the shared matrices are made of. It hashes each spectrum, "
    "looks for invalid values, takes mean and variance of each noisy pixel (two polynomials of degree 12) and "
    "multiplies them by 64 and by 9 numbers a pixel, which no way of compressing can leave out: 0.8 MFLOP a spectrum "
    "of 4,096 pixels. As many threads as there are cores each read 8 MB and work on them. "
    "With the search for the subspace, a fixed 8,192 spectra and their decomposition come on top, which counts the "
    "less the more spectra there are. Ratios are of spectra a second, the best of three turns each."
)


def measure(context: BenchContext) -> Findings:
    """Compress shards, alone and with the search for the subspace before it, and take them from the cache."""
    keep_freed_memory()  # as every process that trains
    rows: list[Row] = []
    for dtype in _STORED:
        rows += _rows(context, dtype)
    return Findings(rows, _PHYSICS)


def _rows(context: BenchContext, dtype: str) -> list[Row]:
    spectra, pixels = _QUICK if context.quick else _FULL
    is_usual = dtype == "float64"
    spectra //= 4 if is_usual else 1
    kind = f"{dtype} with a mask" if is_usual else dtype
    context.say(f"compress: {spectra:,} spectra of {pixels} pixels as {kind}")
    with shards_of(context.scratch, spectra, pixels, dtype, with_mask=is_usual) as selection:
        val = selection.take(np.arange(0, spectra, 64))
        splits = Splits(selection, val, None)
        prep = see_subspace(splits, 1, None).take(_COMPONENTS)
        work = _work(splits, prep, ArrayCache(context.scratch / "cache", 1 << 40))
        # They take turns, so that a disturbance of the machine falls on all of them.
        turns = [{name: _rate(spectra, step) for name, step in work.items()} for _ in range(_TURNS)]
        best = {name: max(turn[name] for turn in turns) for name in work}
        plain = best.pop("plain")
        with MemoryWatch() as watch:
            work["compressed"]()
    targets = {"compressed": Target("at least", 0.6)}
    rows = [
        Row(f"{kind}: {name}", rate, "spectra/s", "plain h5py, same bytes", plain, targets.get(name))
        for name, rate in best.items()
    ]
    memory = f"memory of this process, compressing {kind}"
    return [*rows, Row(memory, watch.peak_bytes / 1e9, "GB", target=Target("at most", 2.0))]


def _work(splits: Splits, prep: Preprocessing, cache: ArrayCache) -> dict[str, Callable[[], object]]:
    train = splits.train
    read = partial(iter_unread, train, hashed=True)

    def with_subspace() -> None:
        compress(train, read, see_subspace(splits, 1, None).take(_COMPONENTS), 1.0)

    return {
        "plain": lambda: [None for _ in plain_blocks(train, as_stored=True)],
        "compressed": lambda: compress(train, read, prep, 1.0),
        "the subspace found, then compressed": with_subspace,
        "from the cache": lambda: kept_components(train, read, prep, 1.0, cache),
    }


def _rate(spectra: int, work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return spectra / (time.perf_counter() - started)
