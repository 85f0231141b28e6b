"""Reads label tables that pandas compressed with blosc or bzip2, filters that PyTables has and h5py has not.

PyTables itself is not asked: it unpickles attributes while it opens a node. The chunks are taken as stored, and the
filters undone here one by one.
"""

import bz2
import zlib
from collections.abc import Callable

import h5py
import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.hdf5_file import read_refusal
from spectral_search.tasks.spectra.shards.hdf5_filters import filters_of

_BZIP2, _BLOSC = 307, 32001
_FLETCHER_BYTES, _BLOSC_HEADER = 4, 16
UNDONE_HERE = frozenset({_BZIP2, _BLOSC})
"""Filters of labels that need no plugin of HDF5."""


def read_labels(file_name: str, data: h5py.Dataset, field: str | None = None) -> np.ndarray:
    """Reads a dataset of labels whole.

    Args:
        file_name: Used in messages.
        data: The dataset.
        field: One field of a compound; all of the dataset otherwise.

    Raises:
        RequestError: Its bytes cannot be read or decompressed.
    """
    if all(h5py.h5z.filter_avail(code) for code, _ in filters_of(data)):
        try:
            return (data if field is None else data.fields(field))[:]
        except (OSError, RuntimeError) as error:
            raise read_refusal(file_name, f"reading the labels in {data.name} failed", error) from error
    try:
        values = _read_chunks(data)
    except (OSError, ValueError, RuntimeError, EOFError, zlib.error) as error:
        raise RequestError(
            f"{file_name}: the labels in {data.name} cannot be decompressed ({error}); write them again without "
            "complib, or copy the file again."
        ) from error
    return values if field is None else values[field]


def _read_chunks(data: h5py.Dataset) -> np.ndarray:
    if data.dtype.hasobject or data.dtype.itemsize != data.id.get_type().get_size():
        raise ValueError(f"values of type {data.dtype}")
    values = np.full(data.shape, data.fillvalue, data.dtype)
    codes = [code for code, _ in filters_of(data)]
    chunk_bytes = int(np.prod(data.chunks)) * data.dtype.itemsize
    for number in range(data.id.get_num_chunks()):
        offset = data.id.get_chunk_info(number).chunk_offset
        skipped, raw = data.id.read_direct_chunk(offset)
        for place in reversed(range(len(codes))):
            if not skipped >> place & 1:
                raw = _undo(codes[place], raw, chunk_bytes, data.dtype.itemsize)
        if len(raw) != chunk_bytes:
            raise ValueError(f"a chunk of {len(raw):,} bytes instead of {chunk_bytes:,}")
        chunk = np.frombuffer(raw, data.dtype).reshape(data.chunks)
        # Chunks at the end are stored whole, and reach beyond the values.
        inside = tuple(
            slice(low, min(low + size, whole)) for low, size, whole in zip(offset, data.chunks, data.shape, strict=True)
        )
        values[inside] = chunk[tuple(slice(0, part.stop - part.start) for part in inside)]
    return values


def _undo(code: int, raw: bytes, chunk_bytes: int, item_bytes: int) -> bytes:
    undo: dict[int, Callable[[], bytes]] = {
        # No more than there should be, with a checksum: what is compressed may go on for very long.
        h5py.h5z.FILTER_DEFLATE: lambda: zlib.decompressobj().decompress(raw, chunk_bytes + _FLETCHER_BYTES),
        h5py.h5z.FILTER_FLETCHER32: lambda: raw[:-_FLETCHER_BYTES],
        h5py.h5z.FILTER_SHUFFLE: lambda: _unshuffle(raw, item_bytes),
        _BZIP2: lambda: bz2.BZ2Decompressor().decompress(raw, chunk_bytes + _FLETCHER_BYTES),
        _BLOSC: lambda: _unblosc(raw, chunk_bytes),
    }
    if code not in undo:
        raise ValueError(f"HDF5 filter {code}")
    return undo[code]()


def _unshuffle(raw: bytes, item_bytes: int) -> bytes:
    """HDF5 stores the first bytes of all values, then the second of all; what is left over comes as it is."""
    whole = len(raw) // item_bytes * item_bytes
    return np.frombuffer(raw[:whole], np.uint8).reshape(item_bytes, -1).T.tobytes() + raw[whole:]


def _unblosc(raw: bytes, chunk_bytes: int) -> bytes:
    import blosc2  # PyTables brings it; only a few files need it

    # The header says how much memory to take: 4 bytes at 4 for the values, 4 bytes at 12 for what is compressed.
    sizes = np.frombuffer(raw[:_BLOSC_HEADER], "<u4")
    if len(raw) < _BLOSC_HEADER or sizes[1] != chunk_bytes or sizes[3] != len(raw):
        raise ValueError("a chunk whose sizes do not agree")
    return bytes(blosc2.decompress(raw))
