"""Files of arrays that are whole or not there, checked when they are opened, and locked while they are used."""

from pathlib import Path

import numpy as np
import pytest
from crashes import dies_at
from full_disks import file_limit
from safetensors.numpy import load_file

from spectral_search.record.array_file import DamagedFileError, open_array_file, read_facts, unused, write_array_file

RNG = np.random.default_rng(0)
ARRAYS = {
    "mean": RNG.standard_normal((7, 5)).astype(np.float32),
    "flags": RNG.random(11) > 0.5,
    "hashes": RNG.integers(0, 2**63, 7).astype(np.uint64),
    "wide": RNG.standard_normal(3),
    "rank": np.arange(4),
    "none": np.zeros((7, 0), np.float32),
}
FACTS = {"spectra": 7, "shards": ["train_0/dataset.h5"], "error": 0.125}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "arrays.safetensors"
    write_array_file(path, ARRAYS, FACTS)
    return path


def test_what_is_written_is_read(file: Path) -> None:
    found = open_array_file(file)
    assert found.facts == read_facts(file) == FACTS
    assert found.nbytes == file.stat().st_size
    assert found.arrays.keys() == ARRAYS.keys()
    for name, expected in ARRAYS.items():
        assert found.arrays[name].dtype == expected.dtype
        np.testing.assert_array_equal(found.arrays[name], expected)


def test_other_programs_can_open_it(file: Path) -> None:
    for name, values in load_file(file).items():
        np.testing.assert_array_equal(values, ARRAYS[name])


def test_arrays_are_mapped_and_cannot_be_written_to(file: Path) -> None:
    found = open_array_file(file)
    assert not found.arrays["mean"].flags.writeable and not found.arrays["mean"].flags.owndata


def test_an_array_in_another_order_comes_back_as_it_was(tmp_path: Path) -> None:
    turned = np.asfortranarray(ARRAYS["mean"]).astype(">f4")
    write_array_file(tmp_path / "turned", {"mean": turned}, {})
    np.testing.assert_array_equal(open_array_file(tmp_path / "turned").arrays["mean"], ARRAYS["mean"])


def test_any_changed_byte_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    blanks = {index for index in range(len(whole)) if whole[index : index + 1] == b" "}  # of no meaning
    for index in sorted(set(range(0, len(whole), 3)) - blanks):
        file.write_bytes(whole[:index] + bytes([whole[index] ^ 0x11]) + whole[index + 1 :])
        with pytest.raises(DamagedFileError):
            open_array_file(file)


def test_a_file_that_is_cut_short_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for size in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(DamagedFileError):
            open_array_file(file)


def test_it_is_in_use_as_long_as_an_array_lives(file: Path) -> None:
    found = open_array_file(file)
    part = found.arrays["mean"][2:]
    del found
    with unused(file) as free:
        assert not free
    del part
    with unused(file) as free:
        assert free


@pytest.mark.parametrize("earlier", [False, True])
def test_a_writer_that_dies_leaves_the_old_file_or_the_new(tmp_path: Path, earlier: bool) -> None:
    path = tmp_path / "arrays"
    change = 1
    while True:
        path.unlink(missing_ok=True)
        if earlier:
            write_array_file(path, {"old": np.zeros(3)}, {})
        died = dies_at(change, lambda: write_array_file(path, ARRAYS, FACTS))
        if path.exists():
            assert set(open_array_file(path).arrays) in ({"old"}, set(ARRAYS))
        assert path.exists() or not earlier
        if not died:
            break
        change += 1
    assert change > 3 and set(open_array_file(path).arrays) == set(ARRAYS)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with file_limit(200), pytest.raises(OSError, match="too large"):
        write_array_file(tmp_path / "arrays", ARRAYS, FACTS)
    assert list(tmp_path.iterdir()) == []
