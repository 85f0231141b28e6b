"""What spectra are, by all their bytes: the same however they are stored and read, another for one changed bit."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from small_shards import PIXELS, make_shard

from spectral_search.errors import RequestError
from spectral_search.record import digest_memo
from spectral_search.record.digest_memo import DigestMemo, memo_file, remember
from spectral_search.tasks.spectra.shards import content
from spectral_search.tasks.spectra.shards.blocks import epoch_ranges, iter_blocks, read_ranges, row_ranges
from spectral_search.tasks.spectra.shards.content import (
    Gathering,
    Hashes,
    content_digests,
    digests_of,
    known_digests,
    read_hashes,
    remember_hashes,
)
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard import ARRAYS
from spectral_search.tasks.spectra.shards.split import Selection

CHUNK_BYTES = 8 * 2 * 4 * PIXELS


@pytest.fixture(autouse=True)
def memo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return memo_file()


def selected(root: Path, count: int = 60) -> Selection:
    shards = DataRoot.find(root).train
    spectra = sum(shard.spectra for shard in shards)
    return Selection(shards, np.sort(np.random.default_rng(0).choice(spectra, count, replace=False)))


@pytest.fixture
def selection(tmp_path: Path) -> Selection:
    """60 of 87 spectra in two shards, one of them with a mask."""
    for number, spectra in enumerate((50, 37)):
        mask_BL = (np.arange(PIXELS) == np.arange(spectra)[:, None]).astype(int) if number else None
        file = tmp_path / f"root/train_{number}/dataset.h5"
        make_shard(file, spectra, shift=100.0 * number, with_noisy=True, mask_BL=mask_BL)
        age(file)
    return selected(tmp_path / "root")


def age(file: Path, ns: int = 10**18) -> None:
    """Make a file one that was not written just now."""
    os.utime(file, ns=(ns, ns))


def gathered(selection: Selection, **options: Any) -> Hashes:
    gathering = Gathering(selection)
    for _ in gathering.watch(iter_blocks(selection, True, hashed=True, **options)):
        pass
    return gathering.whole()


def same(one: Hashes, other: Hashes) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[array], other[array]) for array in one)


def test_hashes_do_not_depend_on_blocks_order_or_reader(selection: Selection) -> None:
    expected = gathered(selection)
    assert set(expected) == set(ARRAYS) and len(np.unique(expected["flux"])) == 60
    assert same(gathered(selection, target_bytes=CHUNK_BYTES), expected)
    assert same(read_hashes(selection, ARRAYS), expected)
    shuffled = Gathering(selection)
    for block in read_ranges(epoch_ranges(row_ranges(selection, CHUNK_BYTES), 3, 1), True, hashed=True):
        shuffled.add(block)
    assert same(shuffled.whole(), expected)

    def condition(flux_PL: np.ndarray, error_PL: np.ndarray, noisy_PL: np.ndarray | None) -> None:
        flux_PL *= 2.0

    assert same(gathered(selection, condition=condition), expected)  # it is of what is stored, not what is made of it


def test_hashes_of_a_part_are_those_of_the_whole(selection: Selection) -> None:
    whole = read_hashes(Selection.all_of(selection.shards), ARRAYS)
    assert same({array: hash_N[selection.rows_N] for array, hash_N in whole.items()}, gathered(selection))


def test_what_was_not_read_to_its_end_is_not_known(selection: Selection) -> None:
    gathering = Gathering(selection)
    first, *_ = iter_blocks(selection, True, CHUNK_BYTES, hashed=True)
    gathering.add(first)
    assert gathering.whole() == {}
    with pytest.raises(ValueError, match="without hashes"):
        gathering.add(next(iter_blocks(selection)))


STORAGES: dict[str, dict[str, Any]] = {
    "contiguous": {"dtype": "float32", "chunk_rows": None},
    "chunked": {"dtype": "float32"},
    "gzip": {"dtype": "float32", "compression": "gzip", "shuffle": True},
    "double": {"dtype": "float64"},
    "big-endian": {"dtype": ">f4"},
    "with a mask that marks nothing": {"dtype": "float32", "with_mask": True},
}


def test_the_same_spectra_have_the_same_digests_however_they_are_stored(tmp_path: Path) -> None:
    found = []
    for name, storage in STORAGES.items():
        make_shard(tmp_path / name / "train_0/dataset.h5", 20, with_noisy=True, **storage)
        found.append(content_digests(selected(tmp_path / name, 15)))
    assert set(found[0]) == {"flux", "error", "noisy"}
    assert found == [found[0]] * len(STORAGES)


@pytest.mark.parametrize("array", ARRAYS)
def test_one_bit_is_another_spectrum(tmp_path: Path, array: str) -> None:
    """Whichever row, pixel and array, and in that row alone."""
    file = make_shard(tmp_path / "train_0/dataset.h5", 30, with_noisy=True, with_mask=True, dtype="float32")
    whole = Selection.all_of(DataRoot.find(tmp_path).train)
    before, digests = read_hashes(whole, ARRAYS), content_digests(whole)
    with h5py.File(file, "r+") as opened:
        values = opened[f"dataset/arrays/{array}/value"]
        row_L = values[17]
        row_L.view(np.uint32 if values.dtype.itemsize == 4 else np.uint64)[5] ^= 1
        values[17] = row_L
    after = read_hashes(whole, ARRAYS)
    assert {name: np.flatnonzero(before[name] != after[name]).tolist() for name in ARRAYS} == {
        name: [17] if name == array else [] for name in ARRAYS
    }
    again = content_digests(Selection.all_of(DataRoot.find(tmp_path).train))
    assert again != digests and all(again[name] == digests[name] for name in digests if name != array)
    assert digests_of(whole, after) == again


def test_rows_in_another_order_are_other_spectra(tmp_path: Path) -> None:
    file = make_shard(tmp_path / "train_0/dataset.h5", 30)
    whole = Selection.all_of(DataRoot.find(tmp_path).train)
    hashes = read_hashes(whole, ["flux"])
    with h5py.File(file, "r+") as opened:
        flux = opened["dataset/arrays/flux/value"]
        flux[:2] = flux[:2][::-1]
    assert digests_of(whole, read_hashes(whole, ["flux"])) != digests_of(whole, hashes)


def test_what_was_read_is_known_until_the_file_changes(
    selection: Selection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = content_digests(selection)
    root = tmp_path / "root"
    assert known_digests(selected(root)) == digests
    assert known_digests(selected(root, 59)) is None
    monkeypatch.setattr(content, "_shard_hashes", refuse_to_read_whole_arrays)
    assert content_digests(selected(root)) == digests
    file = root / "train_0/dataset.h5"
    times = file.stat()
    with h5py.File(file, "r+") as opened:
        opened["dataset/arrays/noisy/value"][0, 0] += 1
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as rsync and tar do
    assert known_digests(selected(root)) is None
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert content_digests(selected(root))["noisy"] != digests["noisy"]


def refuse_to_read_whole_arrays(info: object, rows: object, arrays: list[str]) -> Hashes:
    assert not arrays, "an unchanged shard was read again"
    return {}


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make_shard(tmp_path / "train_0/dataset.h5", 8)
    fresh = Selection.all_of(DataRoot.find(tmp_path).train)
    monkeypatch.setattr(content.time, "time", lambda: file.stat().st_mtime + 0.01)
    content_digests(fresh)
    assert known_digests(fresh) is None
    monkeypatch.setattr(content.time, "time", lambda: file.stat().st_mtime + 1.0)
    assert content_digests(fresh) == known_digests(fresh)


def test_only_what_is_missing_is_read(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    remember_hashes(selection, read_hashes(selection, ("flux", "error", "mask")))
    read: list[str] = []
    sound = content._shard_hashes

    def watched(info: Any, rows: np.ndarray, arrays: list[str]) -> Hashes:
        read.extend(arrays)
        return sound(info, rows, arrays)

    monkeypatch.setattr(content, "_shard_hashes", watched)
    assert content_digests(selection) == digests_of(selection, gathered(selection))
    assert read == ["noisy", "noisy"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"x": 3}', '{"x": {"digests": {"all": [1]}, "used": "now"}}'])
def test_a_damaged_memory_is_none(selection: Selection, memo: Path, text: str) -> None:
    digests = content_digests(selection)
    memo.write_text(text)
    assert known_digests(selection) is None
    assert content_digests(selection) == digests == known_digests(selection)


@pytest.mark.parametrize("spoil", ["digests", "rows"])
def test_entries_that_hold_nonsense_are_none(selection: Selection, memo: Path, spoil: str) -> None:
    digests = content_digests(selection)
    document = json.loads(memo.read_text())
    for entry in document.values():
        entry["digests"] = 3 if spoil == "digests" else dict.fromkeys(entry["digests"], "x")
    memo.write_text(json.dumps(document))
    assert known_digests(selection) is None
    assert content_digests(selection) == digests


def test_a_memory_that_cannot_be_written_costs_time_only(selection: Selection, memo: Path) -> None:
    digests = content_digests(selection)
    memo.unlink()
    memo.parent.rmdir()
    memo.parent.write_text("a file where the folder should be")
    assert content_digests(selection) == digests
    assert known_digests(selection) is None


def test_the_memory_is_bounded_and_keeps_what_was_used_last(memo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_memo, "MOST_ENTRIES", 3)
    clock = iter(range(100))
    monkeypatch.setattr(digest_memo.time, "time", lambda: next(clock))
    for stamp in ("a", "b", "c", "a", "d"):
        remember({(stamp, "all"): {"flux": stamp}})
    assert set(json.loads(memo.read_text())) == {"c", "a", "d"}
    assert DigestMemo().recall("a", "all") == {"flux": "a"} and DigestMemo().recall("b", "all") == {}
    assert [file.name for file in memo.parent.iterdir()] == [memo.name]


def external_link(file: h5py.File, raw: Path) -> None:
    file["dataset/arrays/flux/value"] = h5py.ExternalLink(str(raw), "dataset/arrays/flux/value")


def virtual(file: h5py.File, raw: Path) -> None:
    layout = h5py.VirtualLayout((8, PIXELS), "f4")
    layout[:] = h5py.VirtualSource(str(raw), "dataset/arrays/flux/value", (8, PIXELS))
    file.create_virtual_dataset("dataset/arrays/flux/value", layout)


@pytest.mark.parametrize("point", [external_link, virtual])
def test_times_of_a_file_whose_spectra_lie_in_another_tell_nothing(
    tmp_path: Path, point: Callable[[h5py.File, Path], None]
) -> None:
    raw = make_shard(tmp_path / "raw.h5", 8, dtype="float32")
    file = make_shard(tmp_path / "root/train_0/dataset.h5", 8, dtype="float32")
    assert DataRoot.find(tmp_path / "root").train[0].mtime_ns is not None
    with h5py.File(file, "r+") as opened:
        del opened["dataset/arrays/flux/value"]
        point(opened, raw)
    age(file)
    whole = Selection.all_of(DataRoot.find(tmp_path / "root").train)
    assert whole.shards[0].mtime_ns is None and whole.shards[0].stamp is None
    content_digests(whole, ("error",))
    assert known_digests(whole, ("error",)) is None


def test_an_array_that_is_not_there_is_refused(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 8)
    whole = Selection.all_of(DataRoot.find(tmp_path).train)
    with pytest.raises(RequestError, match="noisy is asked for"):
        read_hashes(whole, ("noisy",))
    assert "noisy" not in content_digests(whole)
