"""Where the rows of an array lie in its file, and reading them from there, where they lie there as plain bytes.

Out of the page cache that is one copy. HDF5 makes it two for arrays in chunks, and takes twice as long.
Shape suffixes: B rows of one read, C chunks.
"""

import os

import h5py
import numpy as np


class RowPlaces:
    """Rows that lie in the file as plain bytes, one after the other within each chunk.

    Args:
        start_C: Byte at which each chunk begins; an array that is not chunked is one.
        chunk_rows: Rows of a chunk; the last may have room for more than there are.
        descriptor: Of the file that holds them, open for as long as this is used.
    """

    def __init__(self, start_C: np.ndarray, chunk_rows: int, descriptor: int) -> None:
        self._starts, self._chunk_rows, self._descriptor = start_C.tolist(), chunk_rows, descriptor

    def read(self, start: int, stop: int, target_BL: np.ndarray) -> None:
        """Fills a C-contiguous buffer of the format that is stored with rows start to stop.

        Unlike a memory map this adds nothing to the resident size of the process.

        Raises:
            OSError: The bytes cannot be read.
        """
        row_bytes = target_BL.strides[0]
        low = start
        while low < stop:
            chunk, row = divmod(low, self._chunk_rows)
            high, position = min(stop, low - row + self._chunk_rows), self._starts[chunk] + row * row_bytes
            # Chunks mostly follow each other. After each read a thread waits for Python's lock.
            while high < stop and self._starts[high // self._chunk_rows] == position + (high - low) * row_bytes:
                high = min(stop, high + self._chunk_rows)
            self._pread(position, target_BL[low - start : high - start].reshape(-1).view(np.uint8).data)
            low = high

    def _pread(self, position: int, rest: memoryview) -> None:
        while len(rest):
            count = os.preadv(self._descriptor, [rest], position)
            if count == 0:
                raise OSError(f"the file ends at byte {position:,}, before the data")
            rest, position = rest[count:], position + count


def find_places(data: h5py.Dataset) -> RowPlaces | None:
    """The places of a dataset's rows; None where only HDF5 can tell what they hold.

    The dataset must be two-dimensional. Its descriptor is HDF5's own: it may lie in another file than the shard.
    """
    if data.external or data.file.userblock_size or data.file.driver != "sec2":
        return None
    if data.id.get_type() != h5py.h5t.py_create(data.dtype, logical=True):
        return None
    found = _chunks(data) if data.chunks else _whole(data)
    return None if found is None else RowPlaces(*found, int(data.file.id.get_vfd_handle()))


def _whole(data: h5py.Dataset) -> tuple[np.ndarray, int] | None:
    if data.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
        return None
    start = data.id.get_offset()  # None while nothing was written: then HDF5 supplies the fill value
    return None if start is None else (np.array([start], np.int64), max(1, data.shape[0]))


def _chunks(data: h5py.Dataset) -> tuple[np.ndarray, int] | None:
    """None as well where a chunk is compressed, was never written or holds part of its rows."""
    rows, across = data.chunks
    if data.id.get_create_plist().get_nfilters() or across != data.shape[1] or not hasattr(data.id, "chunk_iter"):
        return None
    start_C = np.full(-(-data.shape[0] // rows), -1, np.int64)

    def place(chunk: h5py.h5d.StoreInfo) -> None:
        start_C[chunk.chunk_offset[0] // rows] = chunk.byte_offset

    data.id.chunk_iter(place)
    return None if (start_C < 0).any() else (start_C, int(rows))
