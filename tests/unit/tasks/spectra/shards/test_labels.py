from pathlib import Path

import numpy as np
import pytest
import stored_labels
from small_shards import fake_labels, make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.labels import numeric_labels, read_labels
from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path

CASES = list(stored_labels.cases())
"""Every stored type of a label, in every layout."""


def test_labels_of_all_shards_in_order(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 5)
    make_shard(tmp_path / "train_1/dataset.h5", 4, labels=fake_labels(4, seed=1).drop(columns=["M_H", "snr", "id"]))
    labels = read_labels(DataRoot.find(tmp_path).train)
    assert list(labels.columns) == ["log_g", "T_eff", "M_H", "snr", "id"]
    assert list(labels.index) == list(range(9))
    np.testing.assert_allclose(labels["log_g"], np.concatenate([fake_labels(5)["log_g"], fake_labels(4, 1)["log_g"]]))
    assert labels["M_H"].notna().tolist() == [True] * 5 + [False] * 4
    assert labels["id"].tolist() == [0, 1, 2, 3, 4, -1, -1, -1, -1]


def test_ids_may_be_text(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 2, labels=fake_labels(2).assign(id=["HD 1", "HD 2"]))
    make_shard(tmp_path / "train_1/dataset.h5", 1)
    make_shard(tmp_path / "train_2/dataset.h5", 1, labels=fake_labels(1).drop(columns="id"))
    assert read_labels(DataRoot.find(tmp_path).train)["id"].tolist() == ["HD 1", "HD 2", "0", ""]


def test_unusable_labels_of_all_shards_are_named_at_once(tmp_path: Path) -> None:
    for name in ("train_0", "train_1"):
        make_shard(tmp_path / name / "dataset.h5", 3, labels=fake_labels(3).assign(log_g=[1.0, np.nan, 2.0]))
    with pytest.raises(RequestError) as error:
        read_labels(DataRoot.find(tmp_path).train)
    assert len(error.value.faults) == 2
    assert "train_1" in error.value.faults[1]


def test_no_shards_give_an_empty_table() -> None:
    assert len(read_labels([])) == 0


def test_words_for_a_label_that_is_not_known_are_nan(tmp_path: Path) -> None:
    words = ["4500", "--", "", "nan", "N/A", "masked"]
    make_shard(tmp_path / "train_0/dataset.h5", 6, labels=fake_labels(6).assign(T_eff=words))
    np.testing.assert_array_equal(read_labels(DataRoot.find(tmp_path).train)["T_eff"], [4500.0] + 5 * [np.nan])


def test_all_labels_that_are_no_numbers_are_named_at_once(tmp_path: Path) -> None:
    labels = fake_labels(2).assign(T_eff=["hot", "cool"], M_H=[True, False], snr=["10", "twelve"])
    make_shard(tmp_path / "train_0/dataset.h5", 2, labels=labels)
    with pytest.raises(RequestError) as error:
        read_labels(DataRoot.find(tmp_path).train)
    assert [fault.split("the label ")[1].split()[0] for fault in error.value.faults] == ["T_eff", "M_H", "snr"]


def test_every_number_that_all_shards_have_is_read(tmp_path: Path) -> None:
    more = fake_labels(3).assign(a_M=np.array([1, 2, 3]), survey="x", seen=True, only_here=1.5)
    make_shard(tmp_path / "train_0/dataset.h5", 3, labels=more)
    make_shard(tmp_path / "train_1/dataset.h5", 2, labels=fake_labels(2).assign(a_M=np.array([0.5, np.nan])))
    found = numeric_labels(DataRoot.find(tmp_path).train)
    assert {"log_g", "T_eff", "M_H", "a_M"} <= set(found) and not {"survey", "seen", "only_here"} & set(found)
    np.testing.assert_array_equal(found["a_M"], [1, 2, 3, 0.5, np.nan])


@pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
@pytest.mark.parametrize(("layout", "kind"), CASES, ids=[f"{layout}-{kind}" for layout, kind in CASES])
def test_a_label_is_understood_or_refused(layout: str, kind: str, tmp_path: Path) -> None:
    """Alike by a run and by inspection."""
    column = stored_labels.stored(kind)
    path = stored_labels.write(tmp_path / "dataset.h5", layout, column)
    found = inspect_path(path).to_dict()["shards"][0]
    faults = [finding["sentence"] for finding in found["findings"] if finding["level"] == "fault"]
    is_pickled = layout == "pandas fixed" and (kind in ("string", "no string") or stored_labels.is_text(column))
    if column.expected is not None and not is_pickled:
        labels = read_labels(DataRoot.find(path).train)
        np.testing.assert_array_equal(labels["log_g"], column.expected)
        assert labels["id"].tolist() == [10, 11, 12, 13, 14, 15]
        assert faults == []
        ends = found["labels"].get("log_g", {"min": column.expected.min(), "max": column.expected.max()})
        assert (ends["min"], ends["max"]) == (column.expected.min(), column.expected.max())
    else:
        said = "pickled Python objects, which are never opened" if is_pickled else column.said
        with pytest.raises(RequestError, match=said) as caught:
            read_labels(DataRoot.find(path).train)
        assert list(caught.value.faults) == faults
        assert str(path) in faults[0] and "log_g" in faults[0]
