"""Spectra through Ray Data: read by worker processes, in order, at bounded memory.

What costs is not reading but Ray Data's bookkeeping, some 20 ms of the driver for a task and its block whatever their
size, and the copy into the object store. So a task reads several ranges into one large block, which is cut into the
blocks of these ranges again, as views, where it is used; and everything that can be done to the spectra is done by the
workers, while the spectra are in their processor's cache.

Read tasks ask for no CPU slot: a search may hold every CPU of the cluster with its trials, and a reader that had to
wait for one would wait for ever (ray-project/ray#24304). What bounds them instead is `concurrency`, and so the memory:
blocks being read, being queued and being used.
Shape suffixes: B spectra in a block, T spectra of a task, L pixels.
"""

import logging
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
import ray.data
from ray.data.block import BlockMetadata
from ray.data.context import DataContext
from ray.data.datasource import Datasource, ReadTask
from ray.exceptions import RayTaskError

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.blocks import (
    TARGET_BYTES,
    Block,
    Condition,
    RowRange,
    array_names,
    read_block,
    row_ranges,
)
from spectral_search.tasks.spectra.shards.split import Selection

_CONCURRENCY = 2
"""Read tasks at a time: two keep a reader busy while another hands its block over."""
_TASK_BYTES = 64 << 20
"""Flux and error of the ranges that one task reads."""
_PREFETCHED_TASKS = 1
_HASH = "hash_"
"""Before the name of an array: the column of its row hashes."""
# Of a worker process: it runs one task at a time, and Ray has copied a block to the object store before the next.
_worker_memory: dict[str, np.ndarray] = {}


class SpectraDatasource(Datasource):
    """Ranges of shards as a Ray Data source: columns row, flux, error and, where asked for, noisy.

    Args:
        ranges: What to read, in the order wanted.
        noisy: Also read the spectra with the noise already added; every shard must have them.
        condition: Applied to the spectra as they are read.
        task_bytes: Flux and error of the ranges that one task reads; at least one range.
        hashed: Also hash each row: columns hash_flux, hash_error and so on.
    """

    def __init__(
        self,
        ranges: Sequence[RowRange],
        noisy: bool = False,
        condition: Condition | None = None,
        task_bytes: int = _TASK_BYTES,
        *,
        hashed: bool = False,
    ) -> None:
        super().__init__()
        self.parts = _parts(ranges, task_bytes)
        self._noisy, self._condition, self._hashed = noisy, condition, hashed

    def get_name(self) -> str:
        """Names the operator in Ray's own displays."""
        return "Spectra"

    @property
    def largest_bytes(self) -> int:
        """Bytes of the largest block."""
        return max((_block_bytes(part, self._noisy, self._hashed) for part in self.parts), default=1)

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of all blocks."""
        return sum(_block_bytes(part, self._noisy, self._hashed) for part in self.parts)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """Gives one task a part whatever parallelism is asked for: the parts bound the memory and fix the order."""
        return [
            ReadTask(
                partial(_read_table, part, self._noisy, self._condition, self._hashed),
                BlockMetadata(
                    num_rows=_rows(part),
                    size_bytes=_block_bytes(part, self._noisy, self._hashed),
                    input_files=tuple(dict.fromkeys(str(row_range.shard.path) for row_range in part)),
                    exec_stats=None,
                ),
            )
            for part in self.parts
        ]


def _parts(ranges: Sequence[RowRange], task_bytes: int) -> list[list[RowRange]]:
    """Consecutive ranges that together hold no more than so many bytes, at least one."""
    parts: list[list[RowRange]] = []
    held = 0
    for row_range in ranges:
        if not parts or held + row_range.nbytes > task_bytes:
            parts.append([])
            held = 0
        parts[-1].append(row_range)
        held += row_range.nbytes
    return parts


def _rows(part: Sequence[RowRange]) -> int:
    return sum(len(row_range) for row_range in part)


def _block_bytes(part: Sequence[RowRange], noisy: bool, hashed: bool) -> int:
    arrays = len(array_names(noisy))
    row_bytes = 8 + 4 * arrays * part[0].shard.pixels + (8 * (arrays + 1) if hashed else 0)
    return int(_rows(part) * row_bytes)


def _read_table(
    part: Sequence[RowRange], noisy: bool, condition: Condition | None, hashed: bool = False
) -> Iterable[pa.Table]:
    """Runs on the worker. What is invalid is not sent: error == 0 says it."""
    rows, pixels = _rows(part), part[0].shard.pixels
    arrays = {name: _memory(name, rows, pixels) for name in array_names(noisy)}
    row_T, done = np.empty(rows, np.int64), 0
    hashes = {name: np.empty(rows, np.uint64) for name in (*arrays, "mask")} if hashed else {}
    shard, opened = None, None
    try:
        for row_range in part:
            if shard is None or opened != row_range.shard.path:
                if shard is not None:
                    shard.close()
                shard, opened = row_range.shard.open(), row_range.shard.path
            here = slice(done, done + len(row_range))
            out = {name: array[here] for name, array in arrays.items()}
            block = read_block(row_range, noisy, shard=shard, out=out, condition=condition, hashed=hashed)
            row_T[here] = block.rows_B
            for name, hash_B in (block.hashes or {}).items():
                hashes[name][here] = hash_B
            done = here.stop
    finally:
        if shard is not None:
            shard.close()
    spectra = {name: _tensor(array) for name, array in arrays.items()}
    yield pa.table({"row": pa.array(row_T), **spectra, **{_HASH + name: pa.array(h) for name, h in hashes.items()}})


def _memory(name: str, rows: int, pixels: int) -> np.ndarray:
    """Float32 (rows, L) memory of this process, used again by each task: fresh memory costs page faults."""
    held = _worker_memory.get(name)
    if held is None or held.shape[0] < rows or held.shape[1] != pixels:
        held = _worker_memory[name] = np.empty((rows, pixels), np.float32)
    return held[:rows]


def _tensor(values_BL: np.ndarray) -> pa.Array:
    """Wraps a float32 array without copying it."""
    flat = pa.Array.from_buffers(pa.float32(), values_BL.size, [None, pa.py_buffer(values_BL)])
    return pa.FixedSizeListArray.from_arrays(flat, values_BL.shape[1])


def _column(table: pa.Table, name: str) -> np.ndarray:
    """Views a column as a flat read-only array."""
    # Not combine_chunks(), which copies even a single piece; and what a task has read arrives in one.
    (piece,) = table[name].chunks
    values: np.ndarray = (piece.flatten() if pa.types.is_fixed_size_list(piece.type) else piece).to_numpy()
    return values


def cut(table: pa.Table, part: Sequence[RowRange]) -> Iterator[Block]:
    """Cuts what a task has read into the blocks of its ranges, as views."""
    pixels = part[0].shard.pixels
    row_T = _column(table, "row")
    names = [name for name in table.column_names if name != "row" and not name.startswith(_HASH)]
    arrays = {name: _column(table, name).reshape(-1, pixels) for name in names}
    hash_T = {name[len(_HASH) :]: _column(table, name) for name in table.column_names if name.startswith(_HASH)}
    bounds = np.cumsum([0, *map(len, part)]).tolist()
    for start, stop in pairwise(bounds):
        here = slice(start, stop)
        noisy_BL = arrays["noisy"][here] if "noisy" in arrays else None
        hashes = {name: values[here] for name, values in hash_T.items()} or None
        yield Block(row_T[here], arrays["flux"][here], arrays["error"][here], noisy_BL, hashes)


def dataset(source: SpectraDatasource, concurrency: int = _CONCURRENCY) -> ray.data.Dataset:
    """Makes the (lazy) Ray Dataset of a source.

    Args:
        source: What to read.
        concurrency: Read tasks that run at a time.
    """
    with DataContext.current(_context(source, concurrency)):
        return ray.data.read_datasource(
            source,
            num_cpus=0,
            concurrency=min(concurrency, len(source.parts)),
            override_num_blocks=len(source.parts),
        )


def _context(source: SpectraDatasource, concurrency: int) -> DataContext:
    """Makes the settings of one dataset; those of the process stay as they are."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A block is what a task reads: with None, Ray neither cuts it nor joins it to the next.
    context.target_max_block_size = None
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = context.execution_options.resource_limits.copy(
        object_store_memory=(2 * concurrency + _PREFETCHED_TASKS + 1) * source.largest_bytes
    )
    return context


def _quiet() -> None:
    """Keeps Ray Data's messages in its log file and off the terminal; what fails is raised as well as logged."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


def iter_blocks_ray(
    ranges: Sequence[RowRange],
    noisy: bool = False,
    condition: Condition | None = None,
    *,
    task_bytes: int = _TASK_BYTES,
    concurrency: int = _CONCURRENCY,
    hashed: bool = False,
) -> Generator[Block]:
    """Streams ranges as blocks through Ray Data, in order: what `read_ranges` gives, read by other processes.

    The arrays of a block are read-only views of the object store: let a block go before long, or copy it.

    Args:
        ranges: What to read, in the order wanted.
        noisy: Also the spectra with the noise already added; every shard must have them.
        condition: Applied to the spectra as they are read, on the worker.
        task_bytes: Flux and error that one task reads; at least one range.
        concurrency: Read tasks that run at a time; they take no CPU slot.
        hashed: Also hash each row, on the worker.

    Raises:
        RequestError: A shard could not be read on a worker.
    """
    if not ranges:
        return
    source = SpectraDatasource(ranges, noisy, condition, task_bytes, hashed=hashed)
    stream = dataset(source, concurrency)
    _quiet()
    tables = stream.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=_PREFETCHED_TASKS)
    try:
        for part, table in zip(source.parts, tables, strict=True):
            yield from cut(table, part)
    except RayTaskError as error:
        # Ray wraps what a worker raised in its own words; a fault of a shard is told as plainly as without Ray.
        if isinstance(error.cause, RequestError):
            raise RequestError(*error.cause.faults) from None
        raise


def iter_selection_ray(
    selection: Selection, noisy: bool = False, target_bytes: int = TARGET_BYTES, *, hashed: bool = False
) -> Generator[Block]:
    """Reads a selection in order through Ray Data: what `iter_blocks` gives, read by other processes."""
    return iter_blocks_ray(row_ranges(selection, target_bytes), noisy and selection.has_noisy, hashed=hashed)
