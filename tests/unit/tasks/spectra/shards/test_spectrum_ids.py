"""Spectra keep the ids that their shards give them, to the last digit."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from small_shards import fake_labels, make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.labels import read_labels
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard
from spectral_search.tasks.spectra.shards.spectrum_ids import as_ids, id_column, joined

GAIA = 6_417_812_345_678_901_235  # no float64 holds it


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["log_g", "id"], "id"),
        (["SOURCE_ID", "ID"], "ID"),
        (["APOGEE_ID", "log_g"], "APOGEE_ID"),
        (["id", "ID"], "id"),
        (["identity", "grid"], None),
        ([], None),
    ],
)
def test_which_column_holds_the_ids(columns: list[str], found: str | None) -> None:
    assert id_column(columns) == found


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([1, GAIA], "i8"), [1, GAIA]),
        (np.array([1, 2], "u4"), [1, 2]),
        (np.array([1, 2**64 - 1], "u8"), ["1", str(2**64 - 1)]),
        (np.array([1.0, np.nan]), [1, -1]),
        (np.array([1.5, np.nan]), ["1.5", ""]),
        (np.array([1.0, 1e300]), ["1.0", "1e+300"]),
        (np.array(["HD 1", "nan"], object), ["HD 1", ""]),
        (np.array(["2024-01-01", "NaT"], "M8[s]"), ["2024-01-01T00:00:00", ""]),
    ],
)
def test_ids_lose_no_digit(stored: np.ndarray, expected: list[Any]) -> None:
    assert as_ids(stored, "id", "a.h5").tolist() == expected


@pytest.mark.parametrize("stored", [np.ones(2, "c16"), np.ones(2, bool), np.zeros(2, [("a", "f4")])])
def test_what_is_no_id(stored: np.ndarray) -> None:
    with pytest.raises(RequestError, match=r"a.h5: the ids of the spectra \(id\) are stored as"):
        as_ids(stored, "id", "a.h5")


def test_ids_of_several_shards() -> None:
    numbers, texts = np.array([1, -1]), np.array(["HD 1", ""], object)
    assert joined([numbers, None], [2, 1]).tolist() == [1, -1, -1]
    assert joined([numbers, texts, None], [2, 2, 1]).tolist() == ["1", "", "HD 1", "", ""]
    assert joined([], []).dtype == np.int64


@pytest.mark.parametrize("place", ["dataset/id", "dataset/arrays/id/value", "spectrumdataset/id"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_ids_beside_the_labels(place: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = make_shard(tmp_path / "test_0/dataset.h5", 3, labels=fake_labels(3).drop(columns="id"))
    with h5py.File(path, "r+") as file:
        file[place] = np.array([b"HD 1", b"HD 2", b"HD 3"]).reshape(shape)
    assert read_labels(DataRoot.find(path).train)["id"].tolist() == ["HD 1", "HD 2", "HD 3"]
    with h5py.File(path, "r+") as file:  # also where there are no labels at all
        del file["dataset/params"]
    with Shard.open(path, need_labels=False) as shard:
        found = shard.ids()
    assert found is not None and found.tolist() == ["HD 1", "HD 2", "HD 3"]


def test_too_few_ids_are_refused(tmp_path: Path) -> None:
    path = make_shard(tmp_path / "test_0/dataset.h5", 3, labels=fake_labels(3).drop(columns="id"))
    with h5py.File(path, "r+") as file:
        file["dataset/id"] = np.arange(2)
    with pytest.raises(RequestError, match=r"dataset/id has shape \(2,\) but there are 3 spectra") as caught:
        read_labels(DataRoot.find(path).train)
    found = [finding.sentence for finding in check_shard(path) if finding.level == "fault"]
    assert found == list(caught.value.faults)  # inspection says what a run says


def test_labels_carry_ids_of_any_column_and_type(tmp_path: Path) -> None:
    labels = fake_labels(3).drop(columns="id")
    make_shard(tmp_path / "train_0/dataset.h5", 3, labels=labels.assign(source_id=[GAIA, GAIA + 2, 7]))
    assert read_labels(DataRoot.find(tmp_path).train)["id"].tolist() == [GAIA, GAIA + 2, 7]
    make_shard(tmp_path / "train_1/dataset.h5", 3, labels=labels.assign(star_id=pd.Categorical(["a", "b", "a"])))
    make_shard(tmp_path / "train_2/dataset.h5", 3, labels=labels)
    found = read_labels(DataRoot.find(tmp_path).train)["id"].tolist()
    assert found == [str(GAIA), str(GAIA + 2), "7", "a", "b", "a", "", "", ""]
    with Shard.open(tmp_path / "train_2/dataset.h5") as shard:
        assert shard.ids() is None
