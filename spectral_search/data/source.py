"""Spectra through Ray Data: read by worker processes, block by block, in order, at bounded memory.

One read task reads one range and gives one block. Read tasks ask for no CPU slot: a search may hold every CPU of the
cluster with its trials, and a reader that had to wait for one would wait for ever (ray-project/ray#24304). What bounds
them instead is `concurrency`, and so the memory: blocks being read, being queued and being used.
Shape suffixes: B spectra in a block, L pixels.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import ray.data
from ray.data.block import BlockMetadata
from ray.data.context import DataContext
from ray.data.datasource import Datasource, ReadTask
from ray.exceptions import RayTaskError

from spectral_search.data.blocks import TARGET_BYTES, Block, RowRange, read_block, row_ranges
from spectral_search.data.spectra import Spectra, load_spectra
from spectral_search.data.split import Selection
from spectral_search.errors import RequestError

CONCURRENCY = 2
"""Read tasks at a time: two keep a reader busy while another hands its block over."""
_PREFETCHED_BLOCKS = 2
# Of a worker process: it runs one task at a time, and Ray has copied a block to the object store before the next.
_worker_buffers: dict[str, np.ndarray] = {}


class SpectraDatasource(Datasource):
    """Ranges of shards as a Ray Data source, one read task and one block a range.

    Args:
        ranges: What to read, in the order wanted.
        noisy: Also read the spectra with the noise already added, where the shard has them.
    """

    def __init__(self, ranges: Sequence[RowRange], noisy: bool = False) -> None:
        super().__init__()
        self._ranges = list(ranges)
        self._noisy = noisy

    def get_name(self) -> str:
        """Names the operator in Ray's own displays."""
        return "Spectra"

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of all blocks."""
        return sum(_block_bytes(row_range, self._noisy) for row_range in self._ranges)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """Gives one task a range whatever parallelism is asked for: the ranges bound the memory and fix the order."""
        return [
            ReadTask(
                partial(_read_table, row_range, self._noisy),
                BlockMetadata(
                    num_rows=len(row_range),
                    size_bytes=_block_bytes(row_range, self._noisy),
                    input_files=(str(row_range.shard.path),),
                    exec_stats=None,
                ),
            )
            for row_range in self._ranges
        ]


def _block_bytes(row_range: RowRange, noisy: bool) -> int:
    arrays = 3 if noisy and row_range.shard.has_noisy else 2
    return int(row_range.nbytes // 2 * arrays + 8 * len(row_range))


def _read_table(row_range: RowRange, noisy: bool) -> Iterable[pa.Table]:
    """Runs on the worker. `invalid` is not sent: error == 0 says the same in a quarter of the bytes."""
    block = read_block(row_range, noisy, buffers=_worker_buffers)
    columns = {"row": pa.array(block.rows_B), "flux": _tensor(block.flux_BL), "error": _tensor(block.error_BL)}
    if block.noisy_BL is not None:
        columns["noisy"] = _tensor(block.noisy_BL)
    yield pa.table(columns)


def _tensor(values_BL: np.ndarray) -> pa.Array:
    """Wraps a float32 array without copying it."""
    flat = pa.Array.from_buffers(pa.float32(), values_BL.size, [None, pa.py_buffer(values_BL)])
    return pa.FixedSizeListArray.from_arrays(flat, values_BL.shape[1])


def _array(table: pa.Table, name: str, pixels: int) -> np.ndarray:
    """Views a column as a read-only float32 (B, L) array; a column in one piece is not copied."""
    values: np.ndarray = table[name].combine_chunks().flatten().to_numpy()
    return values.reshape(-1, pixels)


def _block(table: pa.Table, pixels: int) -> Block:
    error_BL = _array(table, "error", pixels)
    noisy_BL = _array(table, "noisy", pixels) if "noisy" in table.column_names else None
    rows_B = table["row"].combine_chunks().to_numpy()
    return Block(rows_B, _array(table, "flux", pixels), error_BL, noisy_BL, error_BL == 0)


def dataset(ranges: Sequence[RowRange], noisy: bool = False, concurrency: int = CONCURRENCY) -> ray.data.Dataset:
    """Makes the (lazy) Ray Dataset of some ranges: columns row, flux, error and, where asked for and there, noisy.

    Args:
        ranges: What to read, in the order wanted.
        noisy: Also the spectra with the noise already added.
        concurrency: Read tasks that run at a time.
    """
    with DataContext.current(_context(ranges, noisy, concurrency)):
        return ray.data.read_datasource(
            SpectraDatasource(ranges, noisy),
            num_cpus=0,
            concurrency=min(concurrency, len(ranges)),
            override_num_blocks=len(ranges),
        )


def _context(ranges: Sequence[RowRange], noisy: bool, concurrency: int) -> DataContext:
    """Makes the settings of one dataset; those of the process stay as they are."""
    largest = max((_block_bytes(row_range, noisy) for row_range in ranges), default=1)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A block is what a range holds: with None, Ray neither cuts it nor joins it to the next.
    context.target_max_block_size = None
    context.execution_options.preserve_order = True
    context.execution_options.resource_limits = context.execution_options.resource_limits.copy(
        object_store_memory=(2 * concurrency + _PREFETCHED_BLOCKS + 1) * largest
    )
    return context


def _quiet() -> None:
    """Keeps Ray Data's messages in its log file and off the terminal; what fails is raised as well as logged."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


def iter_blocks_ray(ranges: Sequence[RowRange], noisy: bool = False, concurrency: int = CONCURRENCY) -> Iterator[Block]:
    """Streams ranges as blocks through Ray Data, in order.

    The arrays of a block are read-only views of the object store: let a block go before long, or copy it.

    Args:
        ranges: What to read, in the order wanted.
        noisy: Also the spectra with the noise already added, where the shard has them.
        concurrency: Read tasks that run at a time; they take no CPU slot.

    Raises:
        RequestError: A shard could not be read on a worker.
    """
    if not ranges:
        return
    pixels = ranges[0].shard.pixels
    stream = dataset(ranges, noisy, concurrency)
    _quiet()
    tables = stream.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=_PREFETCHED_BLOCKS)
    try:
        for table in tables:
            yield _block(table, pixels)
    except RayTaskError as error:
        # Ray wraps what a worker raised in its own words; a fault of a shard is told as plainly as without Ray.
        if isinstance(error.cause, RequestError):
            raise RequestError(*error.cause.faults) from None
        raise


def load_spectra_ray(
    selection: Selection,
    noisy: bool = False,
    *,
    target_bytes: int = TARGET_BYTES,
    concurrency: int = CONCURRENCY,
    progress: Callable[[int], None] | None = None,
) -> Spectra:
    """Loads a selection into memory through Ray Data, each block straight to its place.

    Args:
        selection: What to load.
        noisy: Also the spectra with the noise already added, where every shard has them.
        target_bytes: Upper bound of a block's flux and error.
        concurrency: Read tasks that run at a time.
        progress: Called with the number of spectra of each block that has arrived.
    """
    blocks = iter_blocks_ray(row_ranges(selection, target_bytes), noisy and selection.has_noisy, concurrency)
    return load_spectra(selection, _reported(blocks, progress) if progress else blocks)


def _reported(blocks: Iterable[Block], progress: Callable[[int], None]) -> Iterator[Block]:
    for block in blocks:
        yield block
        progress(len(block))


# The name the design uses: a materialised epoch lives in arrays of this process, not in the object store.
materialize_ray = load_spectra_ray
