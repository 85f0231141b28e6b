"""Compression filters of a dataset: which they are, and a refusal of those that this HDF5 does not have."""

from pathlib import Path

import h5py

from spectral_search.errors import RequestError

_OF_PYTABLES = frozenset({305, 307, 32001, 32026})
"""lzo, bzip2, blosc and blosc2; pandas calls them complib."""


def filters_of(data: h5py.Dataset) -> list[tuple[int, str]]:
    """Number and name of each filter, in the order in which they were applied."""
    plist = data.id.get_create_plist()
    found = [plist.get_filter(number) for number in range(plist.get_nfilters())]
    return [(code, label.decode("ascii", "replace")) for code, _, _, label in found]


def refuse_unknown_filters(path: Path, name: str, data: h5py.Dataset, known: frozenset[int] = frozenset()) -> None:
    """Refuses a dataset that cannot be decompressed here.

    Args:
        path: The shard, for messages.
        name: The array's name, for messages.
        data: The dataset.
        known: Filters that are undone without HDF5.
    """
    for code, label in filters_of(data):
        if code not in known and not h5py.h5z.filter_avail(code):
            cure = (
                "repack the file: ptrepack --complib=zlib --complevel=1 IN:/ OUT:/ (it comes with PyTables)."
                if code in _OF_PYTABLES
                else "repack the file where it was written: h5repack -f GZIP=1 IN OUT."
            )
            raise RequestError(
                f"{path}: {name} is compressed with {label or 'an unknown filter'} (HDF5 filter {code}), "
                f"which cannot be read here; {cure}"
            )
