"""A small data root in the real layout, and changes to a copy of it that nobody who writes shards means."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from learnable_root import write_root

Arrays = dict[str, np.ndarray]
Change = Callable[[Path], None]


def write_good_root(folder: Path) -> Path:
    """Train, val and test of 48 pixels, the last two with recorded noise."""
    return write_root(folder, train=160, val=96, test=96, pixels=48, with_noisy=True)


def changed(good: Path, folder: Path, *changes: Change) -> Path:
    """A copy of a root with changes made to it."""
    shutil.copytree(good, folder, dirs_exist_ok=True)
    for change in changes:
        change(folder)
    return folder


def times(shard: str, factor: float, *names: str, rows: slice = slice(None)) -> Change:
    """Multiply arrays of a shard."""

    def scale(arrays: Arrays) -> None:
        for name in names or tuple(name for name in arrays if name != "mask"):
            arrays[name][rows] *= factor

    return arrays_of(shard, scale)


def arrays_of(shard: str, change: Callable[[Arrays], None]) -> Change:
    """Change arrays of a shard, given by name as float64, in place or by putting others."""

    def apply(root: Path) -> None:
        with h5py.File(root / shard / "dataset.h5", "r+") as file:
            stored = file["dataset/arrays"]
            arrays = {name: stored[f"{name}/value"][:].astype(np.float64) for name in stored if name != "mask"}
            change(arrays)
            for name, values in arrays.items():
                del stored[f"{name}/value"]
                stored[f"{name}/value"] = values

    return apply


def noise(shard: str, level: float) -> Change:
    """Record noise anew."""

    def draw(arrays: Arrays) -> None:
        normal = np.random.default_rng(5).standard_normal(arrays["flux"].shape)
        arrays["noisy"] = np.clip(arrays["flux"] + level * np.nan_to_num(arrays["error"]) * normal, 0.0, None)

    return arrays_of(shard, draw)


def labels(shard: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Change:
    """Write other labels."""

    def apply(root: Path) -> None:
        file = root / shard / "dataset.h5"
        table = change(pd.read_hdf(file, "dataset/params"))
        table.to_hdf(file, key="dataset/params", mode="a", format="table")

    return apply


def another(shard: str, name: str) -> Change:
    """Copy a shard under another name."""
    return lambda root: shutil.copytree(root / shard, root / name)
