"""Shards to measure reading on, and plain h5py reading them: the peer.

Shape suffixes: B spectra of a block, L pixels.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from benchmarks.repeated_spectra import repeated_shard
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Selection

_SHARDS = 4
_PLAIN_BYTES = 16 << 20
"""What plain h5py reads before it reads over it."""


@contextmanager
def shards_of(folder: Path, spectra: int, pixels: int, dtype: str, *, with_mask: bool = False) -> Iterator[Selection]:
    """Shards of equal size in a data root of their own, removed afterwards: they may hold gigabytes."""
    root = folder / dtype
    try:
        first = repeated_shard(root / "train_0" / "dataset.h5", spectra // _SHARDS, pixels, dtype, with_mask=with_mask)
        for number in range(1, _SHARDS):
            (root / f"train_{number}").mkdir(parents=True)
            shutil.copyfile(first, root / f"train_{number}" / "dataset.h5")
        yield Selection.all_of(DataRoot.find([str(root)]).train)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def plain_blocks(selection: Selection, *, as_stored: bool = False) -> Iterator[np.ndarray]:
    """What one would write with h5py alone: whole chunks in order, into memory that is used again.

    Args:
        selection: Whole shards.
        as_stored: Reads every byte of flux, error and mask and converts none; else flux and error become float32.
    """
    for shard in selection.shards:
        rows = max(1, _PLAIN_BYTES // (2 * 4 * shard.pixels) // shard.chunk_rows) * shard.chunk_rows
        with h5py.File(shard.path, "r") as file:
            found = {name: node["value"] for name, node in file["dataset/arrays"].items()}
            data = {name: found[name] for name in (found if as_stored else ("flux", "error"))}
            values = {
                name: np.empty((rows, shard.pixels), array.dtype if as_stored else np.float32)
                for name, array in data.items()
            }
            for start in range(0, shard.spectra, rows):
                count = min(rows, shard.spectra - start)
                for name, array in data.items():
                    array.read_direct(values[name], np.s_[start : start + count], np.s_[:count])
                yield values["flux"][:count]
