"""Rows read from where they lie in the file, against h5py."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from spectral_search.tasks.spectra.shards.row_places import RowPlaces, find_places

ROWS, PIXELS = 21, 7
CHUNKED = {"chunks": (4, PIXELS)}


def written(path: Path, dtype: str, written_rows: int = ROWS, **options: object) -> h5py.Dataset:
    values_NL = np.random.default_rng(3).integers(0, 100, (ROWS, PIXELS)).astype(dtype)
    with h5py.File(path, "w") as file:
        file.create_dataset("before", data=np.arange(5))
        data = file.create_dataset("values", (ROWS, PIXELS), dtype, **options)
        if written_rows:
            data[:written_rows] = values_NL[:written_rows]
    opened: h5py.Dataset = h5py.File(path, "r")["values"]
    return opened


@pytest.mark.parametrize("options", [{}, CHUNKED, {"chunks": (ROWS + 9, PIXELS), "maxshape": (None, PIXELS)}], ids=str)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "f8", "i8", "?"])
def test_rows_are_what_h5py_reads(tmp_path: Path, dtype: str, options: dict[str, object]) -> None:
    data = written(tmp_path / "a.h5", dtype, **options)
    places = find_places(data)
    assert places is not None
    for start, stop in ((0, ROWS), (3, 4), (4, 8), (2, 17), (20, ROWS)):
        read_BL = np.zeros((stop - start, PIXELS), data.dtype)
        places.read(start, stop, read_BL)
        np.testing.assert_array_equal(read_BL, data[start:stop])
        assert read_BL.any()


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [0, 1, 3, 2, 4, 5], [2, 3, 0, 1, 4, 5]], ids=str)
def test_chunks_lie_in_any_order(tmp_path: Path, order: list[int]) -> None:
    values_NL = np.random.default_rng(3).integers(0, 100, (ROWS, PIXELS)).astype("f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("values", (ROWS, PIXELS), "f4", **CHUNKED)
        for chunk in order:
            data[4 * chunk : 4 * chunk + 4] = values_NL[4 * chunk : 4 * chunk + 4]
            file.flush()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        places = find_places(file["values"])
        assert places is not None
        for start, stop in ((0, ROWS), (3, 18), (6, 9)):
            read_BL = np.zeros((stop - start, PIXELS), "f4")
            places.read(start, stop, read_BL)
            np.testing.assert_array_equal(read_BL, values_NL[start:stop])


@pytest.mark.parametrize("reads", [1, 6])
def test_chunks_that_follow_each_other_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    data = written(tmp_path / "a.h5", "f4", **CHUNKED)
    places = find_places(data)
    assert places is not None
    if reads == 6:
        places = RowPlaces(np.array(places._starts)[::-1], 4, places._descriptor)
    asked: list[int] = []
    preadv = os.preadv

    def counted(descriptor: int, buffers: list[memoryview], position: int) -> int:
        asked.append(position)
        return preadv(descriptor, buffers, position)

    monkeypatch.setattr(os, "preadv", counted)
    places.read(0, ROWS, np.empty((ROWS, PIXELS), np.float32))
    assert len(asked) == reads


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (4, 3)},
        {**CHUNKED, "compression": "gzip"},
        {**CHUNKED, "shuffle": True},
        {**CHUNKED, "written_rows": 8},
        {"written_rows": 0},
        {"external": [("raw.bin", 0, ROWS * PIXELS * 4)]},
    ],
    ids=str,
)
def test_what_does_not_lie_there_plainly_is_left_to_hdf5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)  # where the name of a raw file counts from
    assert find_places(written(tmp_path / "a.h5", "f4", **options)) is None


def test_a_file_that_is_cut_off_meanwhile_is_an_error(tmp_path: Path) -> None:
    data = written(tmp_path / "a.h5", "f8", **CHUNKED)
    places = find_places(data)
    with (tmp_path / "a.h5").open("r+b") as file:
        file.truncate(3000)
    assert places is not None
    with pytest.raises(OSError, match="the file ends"):
        places.read(0, ROWS, np.empty((ROWS, PIXELS)))
