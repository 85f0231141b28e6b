"""What a sample shows of the subspace is looked at once for the same spectra; a run from the cache records its data."""

import os
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from spectral_search.record.array_cache import ArrayCache
from spectral_search.spec.run import RunSpec
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.same_data import Reading
from spectral_search.tasks.spectra.shards.split import Selection, Splits, make_splits
from spectral_search.tasks.spectra.signal.subspace import find_directions, outside_steps
from spectral_search.tasks.spectra.signal.subspace_plan import find_subspace
from spectral_search.tasks.spectra.signal.subspace_sample import SeenSubspace, see_subspace
from spectral_search.tasks.spectra.simulator.simulate import simulate
from spectral_search.tasks.spectra.training.prepare_dataset import Compressing, prepare

SPEC = RunSpec.from_dict(
    {
        "stage": "small",
        "data": {"input": {"kind": "signal"}},
        "model": {"kind": "mlp", "hidden": [8]},
        "space": {"data.input.kind": {"choice": ["signal", "standardize"]}},
    }
)
HASHED = partial(iter_blocks, hashed=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "data"
    simulate(root, train=150, val=40, test=30, pixels=128, dtype="float32")
    for file in root.glob("*/*.h5"):
        os.utime(file, ns=(10**18, 10**18))  # one that was not written just now
    return root


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ArrayCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return ArrayCache(tmp_path / "signal", 10**9)


def splits_of(data: Path) -> Splits:
    return make_splits(DataRoot.find(str(data)), SPEC.data)


def assert_same(ours: SeenSubspace, theirs: SeenSubspace) -> None:
    assert ours.sampled == theirs.sampled
    np.testing.assert_array_equal(ours.variance_Q, theirs.variance_Q)
    np.testing.assert_array_equal(ours.outside_S, theirs.outside_S)
    for field in fields(ours.prep):
        found, expected = getattr(ours.prep, field.name), getattr(theirs.prep, field.name)
        assert type(found) is type(expected)
        np.testing.assert_array_equal(found, expected, err_msg=field.name)


def test_the_second_look_reads_nothing(data: Path, cache: ArrayCache, monkeypatch: pytest.MonkeyPatch) -> None:
    first = see_subspace(splits_of(data), 1, cache)

    def unreadable(selection: Selection, **options: object) -> Iterator[Block]:
        raise AssertionError("spectra were read")

    with monkeypatch.context() as patch:
        patch.setattr("spectral_search.tasks.spectra.signal.subspace_sample.iter_blocks", unreadable)
        second = see_subspace(splits_of(data), 1, cache)
        with pytest.raises(AssertionError, match="spectra were read"):
            see_subspace(splits_of(data), 2, cache)
    assert_same(second, first)
    assert second.prep.directions_LK.flags.writeable


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_spectrum_or_a_label_that_changed_is_looked_at_again(data: Path, cache: ArrayCache, part: str) -> None:
    first = see_subspace(splits_of(data), 1, cache)
    (file,) = data.glob(f"{part}*/*.h5")
    before = file.read_bytes()
    try:
        with h5py.File(file, "r+") as shard:
            shard["dataset/arrays/flux/value"][1, 60] *= np.float32(1.25)
        os.utime(file, ns=(10**18, 10**18))
        again = see_subspace(splits_of(data), 1, cache)
        assert len(cache.entries()) == 2
        assert (again.variance_Q != first.variance_Q).any() == (part == "train")
    finally:
        file.write_bytes(before)
        os.utime(file, ns=(10**18, 10**18))


def test_what_is_found_is_the_same_with_and_without_the_cache(data: Path, cache: ArrayCache) -> None:
    found = [find_subspace(SPEC, splits_of(data), [SPEC.base], given) for given in (None, cache, cache)]
    for other in found[1:]:
        assert (other.automatic, other.outside, other.sampled) == (found[0].automatic, found[0].outside, 150)
        np.testing.assert_array_equal(other.prep.directions_LK, found[0].prep.directions_LK)


def test_what_lies_outside_is_what_each_number_of_directions_leaves() -> None:
    z_NL = np.random.default_rng(0).standard_normal((60, 40), dtype=np.float32)
    directions_LQ = find_directions(z_NL, 1).directions_LK
    steps_S = outside_steps(z_NL.copy(), directions_LQ)
    kept = [directions_LQ[:, :components] for components in (16, 32, 40)]
    expected = [np.square(z_NL - z_NL @ kept_LK @ kept_LK.T).sum() / len(z_NL) for kept_LK in kept]
    np.testing.assert_allclose(steps_S, expected, rtol=1e-4, atol=1e-6)


def test_a_search_of_both_inputs_records_its_data_from_the_cache_too(data: Path, cache: ArrayCache) -> None:
    splits, recorded = splits_of(data), []
    for _ in range(3):
        reading = Reading(splits)
        found = prepare(SPEC, splits, reading.watched(HASHED), None, Compressing(cache, seen=reading.know))
        recorded.append(reading.hashes())
    assert "from the cache" in found.notes[0]
    assert {"flux", "error", "mask"} == recorded[0]["train"].keys()
    for later in recorded[1:]:
        for array, hash_N in recorded[0]["train"].items():
            np.testing.assert_array_equal(later["train"][array], hash_N)


def test_a_search_in_components_that_reads_nothing_records_its_data(data: Path, cache: ArrayCache) -> None:
    spec, splits, recorded = SPEC.model_copy(update={"space": {}}), splits_of(data), []
    for _ in range(2):
        reading, read = Reading(splits), list[Selection]()

        def watched(selection: Selection, noisy: bool, reading=reading, read=read) -> Iterator[Block]:  # type: ignore[no-untyped-def]
            read.append(selection)
            return reading.watched(HASHED)(selection, noisy)

        prepare(spec, splits, watched, None, Compressing(cache, seen=reading.know))
        recorded.append((reading.hashes(), any(selection is splits.train for selection in read)))
    (first, was_read), (second, was_read_again) = recorded
    assert was_read and not was_read_again
    for array, hash_N in first["train"].items():
        np.testing.assert_array_equal(second["train"][array], hash_N)
