"""Every stored type of an array is read as what it is, or refused with array and type."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard

SHAPE = (3, 4)
WHOLE = np.arange(1, 13).reshape(SHAPE)
NUMBERS = ("f2", "f4", "f8", ">f2", ">f4", ">f8", "g", "i1", "i4", ">i8", "u1", "u2", ">u8")
_ENUM = h5py.enum_dtype({"GOOD": 0, "BAD": 1}, "i4")
_VLEN = h5py.vlen_dtype("f4")

REFUSED: dict[str, tuple[Any, Any, str]] = {
    "complex": (WHOLE + 1j, None, r"is stored as complex128 \(shape \(3, 4\)\), expected numbers"),
    "text": (np.full(SHAPE, b"1.5"), None, r"is stored as text \(\|S3\)"),
    "any text": (np.full(SHAPE, "1.5", object), h5py.string_dtype(), r"is stored as text \(object\)"),
    "compound": (np.zeros(SHAPE, [("re", "f4"), ("x", "f4")]), None, "is stored as a compound of re, x"),
    "opaque": (np.zeros(SHAPE, "V4"), None, r"is stored as \|V4"),
    "enumeration": (np.zeros(SHAPE, "i4"), _ENUM, r"is stored as an enumeration \(BAD, GOOD\)"),
    "empty": (h5py.Empty("f4"), None, r"is an empty dataset \(h5py.Empty of float32"),
    "different lengths": (None, _VLEN, "is stored as rows of different length"),
    "references": (None, h5py.ref_dtype, "is stored as references"),
}
SHAPES = {(): 1.0, (3,): np.ones(3), (3, 4, 1): np.ones((3, 4, 1)), (4, 3): np.ones((4, 3))}


def _write(path: Path, array: str, values: Any, dtype: Any = None) -> Path:
    with h5py.File(path, "w") as file:
        for name in {"flux", "error", "noisy", "mask"} - {array}:
            file[f"dataset/arrays/{name}/value"] = np.zeros(SHAPE, "i8") if name == "mask" else np.ones(SHAPE, "f4")
        shape = SHAPE if values is None else None
        file.create_dataset(f"dataset/arrays/{array}/value", shape, dtype, data=values)
        file["dataset/params/log_g"] = np.ones(3)
    return path


def _refusal(path: Path) -> str:
    with pytest.raises(RequestError) as caught:
        Shard.open(path)
    found = [finding.sentence for finding in check_shard(path) if finding.level == "fault"]
    assert found == list(caught.value.faults)  # inspection says what a run says
    return found[0]


@pytest.mark.parametrize("array", ["flux", "error", "noisy"])
@pytest.mark.parametrize("dtype", NUMBERS)
def test_numbers_of_any_width_are_read(array: str, dtype: str, tmp_path: Path) -> None:
    with Shard.open(_write(tmp_path / "dataset.h5", array, WHOLE.astype(dtype))) as shard:
        values = shard.read(0, 3, (array,))[array]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, WHOLE)


@pytest.mark.parametrize("dtype", [*NUMBERS, "?"])
def test_masks_of_any_number_are_read(dtype: str, tmp_path: Path) -> None:
    bad_BL = WHOLE % 3 == 0
    stored_BL = ~bad_BL if dtype == "?" else bad_BL.astype(dtype)
    with Shard.open(_write(tmp_path / "dataset.h5", "mask", stored_BL)) as shard:
        np.testing.assert_array_equal(shard.read(0, 3, ("mask",))["mask"], bad_BL)


@pytest.mark.parametrize("array", ["flux", "error", "noisy", "mask"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_number_is_refused(array: str, kind: str, tmp_path: Path) -> None:
    values, dtype, said = REFUSED[kind]
    path = _write(tmp_path / "dataset.h5", array, values, dtype)
    with pytest.raises(RequestError, match=f"dataset.h5: {array} {said}"):
        Shard.open(path)
    assert f"{array} " in _refusal(path)


def test_bool_is_for_masks_only(tmp_path: Path) -> None:
    assert "flux is stored as bool" in _refusal(_write(tmp_path / "dataset.h5", "flux", WHOLE > 3))


@pytest.mark.parametrize("array", ["flux", "mask"])
def test_the_bool_of_pytables_is_not_taken_for_integers(array: str, tmp_path: Path) -> None:
    """h5py gives it as uint8, and True = good would mean bad."""
    import tables

    path = _write(tmp_path / "dataset.h5", array, np.zeros(SHAPE))
    with h5py.File(path, "r+") as file:
        del file["dataset/arrays"][array]
    with tables.open_file(path, "r+") as file:
        file.create_array(f"/dataset/arrays/{array}", "value", WHOLE > 3, createparents=True)
    assert f"{array} is stored as a bitfield, as PyTables stores bool" in _refusal(path)


@pytest.mark.parametrize("array", ["flux", "error", "noisy", "mask"])
@pytest.mark.parametrize("shape", SHAPES)
def test_other_shapes_are_refused(array: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    sentence = _refusal(_write(tmp_path / "dataset.h5", array, SHAPES[shape]))
    assert str(shape) in sentence


def test_a_type_that_numpy_lacks(tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", "noisy", np.ones(SHAPE))
    with h5py.File(path, "r+") as file:
        del file["dataset/arrays/noisy/value"]
        space = h5py.h5s.create_simple(SHAPE)
        h5py.h5d.create(file["dataset/arrays/noisy"].id, b"value", h5py.h5t.UNIX_D32LE, space)
    assert "noisy/value is of a type that cannot be read" in _refusal(path)


def test_all_arrays_are_named_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", "flux", h5py.Empty("f4"))
    with h5py.File(path, "r+") as file:
        del file["dataset/arrays/error/value"]
        file["dataset/arrays/error/value"] = np.full(SHAPE, b"x")
    with pytest.raises(RequestError) as caught:
        Shard.open(path)
    assert len(caught.value.faults) == 2
