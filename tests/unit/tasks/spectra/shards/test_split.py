import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_shards import fake_labels, make_shard

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.section import DataSpec
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import (
    Splits,
    make_splits,
    strata,
    stratified_holdout,
    stratified_subset,
)


def labels_of(spectra: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "T_eff": 3750.0 + 2250.0 * rng.beta(2, 5, spectra),
            "log_g": 1.0 + 4.0 * rng.beta(5, 2, spectra),
            "M_H": rng.uniform(-1.0, 0.75, spectra),
        }
    )


def test_subset_is_exact_sorted_nested_and_reproducible() -> None:
    labels = labels_of(5000)
    small, large = (stratified_subset(labels, size, seed=7) for size in (333, 2500))
    assert len(small) == 333
    assert len(large) == 2500
    assert np.all(np.diff(small) > 0)
    assert set(small) <= set(large)
    assert np.array_equal(small, stratified_subset(labels, 333, seed=7))
    assert not np.array_equal(small, stratified_subset(labels, 333, seed=8))


def test_subset_holds_every_bin_in_proportion() -> None:
    labels = labels_of(5000)
    stratum = strata(labels)
    chosen = stratum[stratified_subset(labels, 500, seed=0)]
    for number in np.unique(stratum):
        expected = (stratum == number).sum() * 500 / 5000
        # One offset a bin rounds each bin up or down; one more allows for the sizes adding up to exactly 500.
        assert abs((chosen == number).sum() - expected) <= 2.0


def test_subset_is_nearer_to_the_whole_than_a_random_one() -> None:
    labels = labels_of(20_000)
    stratum = strata(labels)

    def distance(rows: np.ndarray) -> float:
        share = np.bincount(stratum[rows], minlength=stratum.max() + 1) / len(rows)
        return float(np.abs(share - np.bincount(stratum) / len(stratum)).sum())

    random = np.random.default_rng(0).choice(20_000, 1000, replace=False)
    assert distance(stratified_subset(labels, 1000, seed=0)) < 0.6 * distance(random)


def test_rare_bins_and_missing_labels_split() -> None:
    labels = pd.DataFrame({"T_eff": [4000.0] * 30 + [9000.0], "log_g": [2.2] * 30 + [4.9], "M_H": [np.nan] * 31})
    train, val = stratified_holdout(labels, 0.1, seed=1)
    assert sorted([*train, *val]) == list(range(31))
    assert len(stratified_subset(labels[["log_g"]], 10, seed=1)) == 10


def test_rare_bins_are_chosen_as_often_as_common_ones() -> None:
    labels = pd.DataFrame({"T_eff": [4000.0] * 30 + [5900.0], "log_g": [2.2] * 31, "M_H": [0.1] * 31})
    times = sum(30 in stratified_subset(labels, 10, seed) for seed in range(300))
    assert 60 < times < 140  # 10 of 31 of 300 is 97


def test_holdout_is_disjoint_complete_and_independent_of_the_subset_stream() -> None:
    labels = labels_of(1000)
    train, val = stratified_holdout(labels, 0.2, seed=42)
    assert len(val) == 200
    assert not set(train) & set(val)
    assert np.array_equal(np.union1d(train, val), np.arange(1000))
    assert not np.array_equal(val, stratified_subset(labels, 200, seed=42))


def test_too_few_to_split() -> None:
    with pytest.raises(RequestError, match="too few spectra to split: 9 found"):
        stratified_holdout(labels_of(9), 0.1, seed=0)


def test_make_splits_uses_val_shards(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 30)
    make_shard(tmp_path / "train_1/dataset.h5", 20, seed=1)
    make_shard(tmp_path / "val/dataset.h5", 12, seed=2)
    make_shard(tmp_path / "test/dataset.h5", 5, seed=3)
    splits = make_splits(DataRoot.find(str(tmp_path)), DataSpec(num_train=40, num_val=10))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (40, 10, 5)
    assert splits.val.shards[0].name == "val/dataset.h5"


def test_make_splits_holds_out_when_there_is_no_val_set(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 60)
    root = DataRoot.find(str(tmp_path))
    whole, part = make_splits(root, DataSpec()), make_splits(root, DataSpec(num_train=20))
    assert (len(whole.train), len(whole.val), whole.test) == (54, 6, None)
    assert not set(whole.train.rows_N) & set(whole.val.rows_N)
    assert np.array_equal(whole.val.rows_N, part.val.rows_N)
    assert set(part.train.rows_N) <= set(whole.train.rows_N)


def test_asking_for_more_than_there_is_names_how_many_there_are(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 60)
    with pytest.raises(RequestError) as error:
        make_splits(DataRoot.find(str(tmp_path)), DataSpec(num_train=60, num_val=7))
    assert len(error.value.faults) == 2
    assert "54 training spectra (6 of 60 are held out for val)" in error.value.faults[0]
    assert "6 val spectra" in error.value.faults[1]


def test_too_few_training_and_val_spectra_are_both_named(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 7)
    make_shard(tmp_path / "val/dataset.h5", 1)
    with pytest.raises(RequestError) as error:
        make_splits(DataRoot.find(str(tmp_path)), DataSpec())
    assert len(error.value.faults) == 2


def test_recorded_splits_come_back(tmp_path: Path) -> None:
    make_shard(tmp_path / "a/train_0/dataset.h5", 60)
    make_shard(tmp_path / "a/test/dataset.h5", 9)
    splits = make_splits(DataRoot.find(str(tmp_path / "a")), DataSpec())
    file = io.BytesIO()
    np.savez(file, **splits.to_arrays())
    file.seek(0)
    (tmp_path / "a").rename(tmp_path / "b")
    moved = DataRoot.find(str(tmp_path / "b"))
    with np.load(file, allow_pickle=False) as arrays:
        again = Splits.from_arrays(arrays, moved)
    assert again.digest() == splits.digest()
    assert np.array_equal(again.val.rows_N, splits.val.rows_N)
    assert again.train.shards[0].path.is_relative_to(tmp_path / "b")
    assert make_splits(moved, DataSpec(split_seed=43)).digest() != splits.digest()


def test_recorded_splits_refuse_other_data(tmp_path: Path) -> None:
    make_shard(tmp_path / "a/train_0/dataset.h5", 60)
    make_shard(tmp_path / "b/train_0/dataset.h5", 20)
    make_shard(tmp_path / "c/train_9/dataset.h5", 60)
    arrays = make_splits(DataRoot.find(str(tmp_path / "a")), DataSpec()).to_arrays()
    with pytest.raises(RequestError, match="hold only 20 spectra now"):
        Splits.from_arrays(arrays, DataRoot.find(str(tmp_path / "b")))
    with pytest.raises(RequestError, match="which this data root does not hold"):
        Splits.from_arrays(arrays, DataRoot.find(str(tmp_path / "c")))


def test_labels_of_all_parts_are_judged_before_any_work(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        log_g = np.array(["4.5"] * 19 + [f"{part} star"], object)
        make_shard(tmp_path / f"{part}_0/dataset.h5", 20, labels=fake_labels(20).assign(log_g=log_g))
    with pytest.raises(RequestError) as caught:
        make_splits(DataRoot.find(tmp_path), DataSpec())
    assert [fault.split("'")[1] for fault in caught.value.faults] == ["train star", "val star", "test star"]
