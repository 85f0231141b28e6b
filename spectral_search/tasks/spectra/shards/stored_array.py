"""One array of a shard: how it is stored, and the fastest way from there into a native float32 (or bool) buffer.

Measured on one core of a 2-core machine, warm cache, MB/s of float32 delivered, (8192, 4096) arrays read 512 rows at
a time (the number HDF5's own `read_direct` into float32 with its default chunk cache gave is in brackets):

    contiguous native float32   pread at the file offset    6,000   (4,300)
    float32, chunks (64, 4096)  pread of each chunk         6,400   (2,350 to 3,400; 5,100 with no chunk cache)
    float64, chunks (64, 4096)  the same, numpy converts    1,690   (680 to 1,080; 1,180 with no cache in that run)
    float16, chunks (64, 4096)  no cache, numpy converts    1,300   (490)
    '>f8',   chunks (64, 4096)  no cache, numpy converts    1,000   (24)

So HDF5 converts nothing but the byte order of float32, reads nothing that lies in its file as plain bytes
(`row_places`), and caches only chunks that have to be decompressed.

Shape suffixes: B rows of one read, L pixels.
"""

import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spectral_search.tasks.spectra.shards.hdf5_filters import filters_of, refuse_unknown_filters
from spectral_search.tasks.spectra.shards.packing import Packing
from spectral_search.tasks.spectra.shards.row_places import RowPlaces, find_places

# Rows are read in units of about this size: large enough for the disk, small enough to stay near the processor.
UNIT_BYTES = 8 << 20
_MEMORY = threading.local()


class StoredArray:
    """A 2-D dataset of a shard, opened for reading.

    Args:
        path: The shard, for messages.
        name: flux, error, noisy or mask.
        data: The dataset, in the shard or in a file that it links to.
        packing: How its numbers become values; not for the mask.

    Raises:
        RequestError: It is compressed with a filter that this HDF5 does not have.

    Attributes:
        shape, dtype: As stored.
        storage: dtype, byte_order, shape, chunks, compression, compression_level, shuffle, bytes (as stored), and
            packing where its numbers are not its values.
        chunk_rows: Rows that are read together most cheaply.
    """

    def __init__(self, path: Path, name: str, data: h5py.Dataset, packing: Packing | None = None) -> None:
        self.name = name
        self.shape: tuple[int, ...] = tuple(int(size) for size in data.shape)
        self.dtype = data.dtype
        self.storage = _storage(data)
        self._packing = packing or Packing()
        if self._packing:
            self.storage["packing"] = self._packing.to_dict()
        refuse_unknown_filters(path, name, data)
        filters = filters_of(data)
        self._is_fill = _holds_nothing(data)
        self._unit_rows = max(1, UNIT_BYTES // max(1, self.shape[-1] * self.dtype.itemsize)) if self.shape else 1
        self.chunk_rows = self._rows_read_together(data, bool(filters))
        self._data = _with_chunk_cache(data, bool(filters))

    @cached_property
    def _places(self) -> RowPlaces | None:
        """Looked for when it is first read: of an array in many chunks that takes milliseconds."""
        return find_places(self._data)

    def fill(self, start: int, stop: int, target_BL: np.ndarray) -> None:
        """Fills a C-contiguous float32 buffer (bool for the mask, True = bad) with rows start to stop.

        Raises:
            OSError: The bytes cannot be read.
        """
        if not self._data.id.valid:
            raise ValueError(f"{self.name} is read after it was closed")
        if start == stop:
            return
        if self.name == "mask":
            self._fill_invalid(start, stop, target_BL)
        elif self.dtype.kind == "f" and self.dtype.itemsize == 4 and not self._packing:
            # Of another byte order HDF5 turns the bytes, faster than numpy.
            self._read(start, stop, target_BL)
        else:
            for first, rows in self._raw_units(start, stop):
                # float64 values beyond float32's range become inf, which later counts as an invalid value
                self._packing.unpack(rows, target_BL[first : first + len(rows)])

    def close(self) -> None:
        """Closes the dataset, and the file it lies in if that is not the shard; further reads fail."""
        if self._data.id.valid:
            self._data.id.close()

    def _fill_invalid(self, start: int, stop: int, target_BL: np.ndarray) -> None:
        """An integer mask counts 0 as good, a bool mask means the opposite: True is good."""
        good = self.dtype == bool
        if self._is_fill and self._data.fillvalue == good:
            target_BL.fill(False)  # nothing was ever written: eight bytes a pixel that need not be made up
            return
        for first, rows in self._raw_units(start, stop):
            np.not_equal(rows, good, out=target_BL[first : first + len(rows)])

    def _raw_units(self, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Rows as stored, through this thread's scratch memory: (first row within the range, rows)."""
        raw_RL = _scratch((min(self._unit_rows, self.shape[0]), self.shape[1]), self.dtype)
        for low in range(start, stop, len(raw_RL)):
            high = min(low + len(raw_RL), stop)
            rows = raw_RL[: high - low]
            self._read(low, high, rows)
            yield low - start, rows

    def _read(self, start: int, stop: int, target_BL: np.ndarray) -> None:
        if self._places is not None and target_BL.dtype == self.dtype:
            self._places.read(start, stop, target_BL)
        else:
            self._data.read_direct(target_BL, np.s_[start:stop])

    def _rows_read_together(self, data: h5py.Dataset, filtered: bool) -> int:
        if not self.shape or data.chunks is None:
            return max(1, min(self.shape[0] if self.shape else 1, self._unit_rows))
        rows = int(data.chunks[0])
        # Some writers chunk by thousands of rows. Unfiltered, such a chunk is read in part at full speed.
        return rows if filtered or rows <= self._unit_rows else self._unit_rows


def _scratch(shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Memory of this thread that the next call gives out again, for any shard: many may be open."""
    size = shape[0] * shape[1] * dtype.itemsize
    found: np.ndarray | None = getattr(_MEMORY, "scratch", None)
    if found is None or found.nbytes < size:
        found = _MEMORY.scratch = np.empty(size, np.uint8)
    return found[:size].view(dtype).reshape(shape)


def _holds_nothing(data: h5py.Dataset) -> bool:
    """Whether HDF5 supplies the fill value everywhere; a virtual dataset has no bytes of its own either."""
    layout = data.id.get_create_plist().get_layout()
    own = layout in (h5py.h5d.CHUNKED, h5py.h5d.CONTIGUOUS) and not data.external
    return own and int(data.id.get_storage_size()) == 0


def _with_chunk_cache(data: h5py.Dataset, filtered: bool) -> h5py.Dataset:
    """Reopens a chunked dataset with a cache of one row of chunks where they are compressed, else of none."""
    if data.chunks is None or len(data.shape) != 2:
        return data
    across = -(-data.shape[1] // data.chunks[1])
    row_bytes = across * int(np.prod(data.chunks)) * data.dtype.itemsize
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(max(521, 100 * across + 1), row_bytes if filtered else 0, 0.75)
    file, name = data.file, data.name
    data.id.close()  # an open dataset shares its cache with later opens of the same one
    return h5py.Dataset(h5py.h5d.open(file.id, name.encode(), access))


def _storage(data: h5py.Dataset) -> dict[str, Any]:
    packers = [label for code, label in filters_of(data) if code != h5py.h5z.FILTER_SHUFFLE]
    big = data.dtype.byteorder == ">"
    return {
        "dtype": data.dtype.name,
        "byte_order": "big" if big else "little" if data.dtype.itemsize > 1 else "none",
        "shape": [int(size) for size in data.shape],
        "chunks": None if data.chunks is None else [int(size) for size in data.chunks],
        "compression": data.compression or (packers[0] if packers else None),
        "compression_level": data.compression_opts if isinstance(data.compression_opts, int) else None,
        "shuffle": bool(data.shuffle),
        "bytes": int(data.id.get_storage_size()),
    }
