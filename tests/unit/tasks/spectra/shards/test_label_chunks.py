"""Labels that pandas compressed with filters of PyTables are read without PyTables, and damage is told."""

import bz2
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard import Shard

ROWS = 4000
LABELS = pd.DataFrame(
    {
        "log_g": np.linspace(1.0, 5.0, ROWS),
        "T_eff": np.linspace(3750, 6000, ROWS).astype(np.float32),
        "id": np.arange(ROWS),
        "good": np.arange(ROWS) % 3 == 0,
        "survey": [f"pfs-{number}" for number in range(ROWS)],
    }
)
READ = ("blosc", "blosc:blosclz", "blosc:lz4", "blosc:lz4hc", "blosc:zlib", "blosc:zstd", "bzip2", "zlib")


def _write(path: Path, complib: str, layout: str = "table", labels: pd.DataFrame = LABELS) -> Path:
    with h5py.File(path, "w") as file:
        for name in ("flux", "error"):
            file[f"dataset/arrays/{name}/value"] = np.ones((len(labels), 3), np.float32)
    labels.to_hdf(path, key="dataset/params", format=layout, complib=complib, complevel=5)
    return path


@pytest.mark.parametrize("layout", ["table", "fixed"])
@pytest.mark.parametrize("complib", READ)
def test_every_compression_of_pandas_that_can_be_undone(complib: str, layout: str, tmp_path: Path) -> None:
    labels = LABELS if layout == "table" else LABELS.drop(columns="survey")
    with Shard.open(_write(tmp_path / "dataset.h5", complib, layout, labels)) as shard:
        found = shard.params()
    pd.testing.assert_frame_equal(found[list(labels)], labels, check_dtype=False)


def test_random_bytes_that_do_not_compress(tmp_path: Path) -> None:
    labels = pd.DataFrame({"log_g": np.random.default_rng(1).random(ROWS)})
    for complib in ("blosc", "bzip2"):
        with Shard.open(_write(tmp_path / f"{complib}.h5", complib, labels=labels)) as shard:
            assert shard.params()["log_g"].tolist() == labels["log_g"].tolist()


def test_blosc2_is_refused_with_a_tool_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"blosc2 \(HDF5 filter 32026\), which cannot be read here; repack the file: pt"
    ):
        Shard.open(_write(tmp_path / "dataset.h5", "blosc2"))


def _damage(path: Path, raw: bytes, at: int) -> None:
    with h5py.File(path) as file:
        chunk = file["dataset/params/table"].id.get_chunk_info(0)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + at)
        file.write(raw)


@pytest.mark.parametrize(
    ("complib", "raw", "at", "reason"),
    [
        ("blosc", b"\xff\xff\xff\x7f", 4, "a chunk whose sizes do not agree"),  # of two gigabytes, says the header
        ("blosc", b"\0" * 16, 0, "a chunk whose sizes do not agree"),
        ("blosc", b"\xff" * 200, 40, "Cannot decompress"),
        ("bzip2", b"\xff" * 200, 40, "Invalid data stream"),
        ("bzip2", bz2.compress(b"short"), 0, "a chunk of 5 bytes instead of"),
    ],
)
def test_damage_is_one_sentence(complib: str, raw: bytes, at: int, reason: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", complib)
    _damage(path, raw, at)
    with (
        Shard.open(path) as shard,
        pytest.raises(RequestError, match=rf"the labels in .*cannot be decompressed \({reason}"),
    ):
        shard.params()


def test_bytes_that_go_on_for_ever_take_no_more_memory_than_a_chunk(tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", "bzip2")
    _damage(path, bz2.compress(bytes(1 << 26)), 0)
    with Shard.open(path) as shard, pytest.raises(RequestError, match=r"a chunk of [\d,]{6,7} bytes instead of"):
        shard.params()
