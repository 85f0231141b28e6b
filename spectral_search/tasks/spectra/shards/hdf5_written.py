"""Whether the values of a dataset were ever written; what HDF5 gives where they were not is made up."""

import math
from pathlib import Path

import h5py
import numpy as np

from spectral_search.tasks.spectra.shards.hdf5_links import Place


def nothing_written(data: h5py.Dataset) -> bool:
    """Whether no value was ever written, and no fill value chosen that could be meant."""
    written, pieces = _pieces_written(data)
    return written == 0 < pieces and not _has_chosen_fill(data)


def refuse_unwritten(shard: Path, name: str, data: h5py.Dataset) -> None:
    """Refuses a dataset of which a part was never written: its writer died, and what HDF5 gives there is made up.

    A fill value that was chosen, and that is a number other than 0, is taken as the value of all when nothing at all
    was written.

    Raises:
        RequestError: It says how much is missing.
    """
    written, pieces = _pieces_written(data)
    if written == pieces or (written == 0 and _has_chosen_fill(data)):
        return
    if written == 0:
        found = "was never written, only made"
    else:
        found = f"was not written to its end: {pieces - written:,} of {pieces:,} chunks are missing{_first_gap(data)}"
    raise Place(shard, name).fault(
        found, "the process that wrote the file did not finish: write the file again, or only the rows that are there"
    )


def refuse_undefined_fill(shard: Path, name: str, data: h5py.Dataset) -> None:
    """Refuses a dataset whose unwritten values HDF5 would leave as whatever lies in memory."""
    written, pieces = _pieces_written(data)
    plist = data.id.get_create_plist()
    undefined = plist.get_layout() in (h5py.h5d.CHUNKED, h5py.h5d.CONTIGUOUS) and (
        plist.fill_value_defined() == h5py.h5d.FILL_VALUE_UNDEFINED or plist.get_fill_time() == h5py.h5d.FILL_TIME_NEVER
    )
    if written < pieces and undefined:
        raise Place(shard, name).fault(
            "was not written to its end and has no fill value", "write the values, or make it with a fill value"
        )


def _pieces_written(data: h5py.Dataset) -> tuple[int, int]:
    """Chunks that were written and that there are; a dataset in one piece is one."""
    layout = data.id.get_create_plist().get_layout()
    if not data.size:
        return 0, 0
    if layout == h5py.h5d.CHUNKED:
        grid = [-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True)]
        return int(data.id.get_num_chunks()), math.prod(grid)
    if layout == h5py.h5d.CONTIGUOUS and not data.external:
        return int(data.id.get_offset() is not None), 1
    return 1, 1


def _has_chosen_fill(data: h5py.Dataset) -> bool:
    if data.id.get_create_plist().fill_value_defined() != h5py.h5d.FILL_VALUE_USER_DEFINED:
        return False
    fill = np.asarray(data.fillvalue)
    return fill.dtype.kind in "iuf" and bool(np.isfinite(fill)) and bool(fill != 0)


def _first_gap(data: h5py.Dataset) -> str:
    """Rows of the first chunk that was never written."""
    there = set()
    data.id.chunk_iter(lambda chunk: there.add(chunk.chunk_offset))
    corners = np.ndindex(*(-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True)))
    for corner in corners:
        offset = tuple(index * chunk for index, chunk in zip(corner, data.chunks, strict=True))
        if offset not in there:
            return f", the first at rows {offset[0]:,} to {min(offset[0] + data.chunks[0], data.shape[0]) - 1:,}"
    return ""
