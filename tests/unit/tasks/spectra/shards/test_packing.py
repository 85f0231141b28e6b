"""scale_factor, add_offset and values that stand for none are applied, or refused; never ignored."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard
from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path
from spectral_search.tasks.spectra.shards.shard_writer import repack

ROWS, PIXELS = 9, 6
STORED = np.arange(1, 1 + ROWS * PIXELS).reshape(ROWS, PIXELS)
VALUE = "dataset/arrays/{}/value"


def _write(path: Path, dtype: str = "<f4", on: str = VALUE, **attributes: object) -> Path:
    """A shard whose arrays are STORED, with attributes on flux, error and noisy."""
    with h5py.File(path, "w") as file:
        for name in ("flux", "error", "noisy"):
            file[VALUE.format(name)] = STORED.astype(dtype)
            file[on.format(name)].attrs.update(attributes)
        file["dataset/params/log_g"] = np.linspace(1, 5, ROWS)
        file["spectrumdataset/wave"] = np.linspace(7100, 8850, PIXELS)
    return path


def _read(path: Path) -> dict[str, np.ndarray]:
    with Shard.open(path) as shard:
        whole = shard.read(0, ROWS, ("flux", "error", "noisy"))
        np.testing.assert_array_equal(shard.read(2, 7)["flux"], whole["flux"][2:7])
    return whole


@pytest.mark.parametrize("on", [VALUE, "dataset/arrays/{}"], ids=["dataset", "group"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i2", ">i4"])
def test_scale_and_offset_are_applied_to_every_type(dtype: str, on: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", dtype, on, scale_factor=1e-17, add_offset=np.array([5e-17]))
    for values in _read(path).values():
        np.testing.assert_array_equal(values, (STORED * 1e-17 + 5e-17).astype(np.float32))


def test_the_identity_changes_nothing_and_keeps_the_fast_path(tmp_path: Path) -> None:
    with Shard.open(_write(tmp_path / "dataset.h5", scale_factor=1, add_offset=0.0, _FillValue=np.nan)) as shard:
        assert "packing" not in shard.storage["flux"]
        np.testing.assert_array_equal(shard.read(0, ROWS)["flux"], STORED.astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2", ">i4"])
@pytest.mark.parametrize("scale", [None, 0.5])
def test_values_that_stand_for_none_are_invalid(dtype: str, scale: float | None, tmp_path: Path) -> None:
    attributes: dict[str, object] = {"_FillValue": np.array([7.0]), "missing_value": [11, 12]}
    values = _read(_write(tmp_path / "dataset.h5", dtype, **attributes, **({"scale_factor": scale} if scale else {})))
    expected = STORED * (scale or 1.0)
    expected[np.isin(STORED, [7, 11, 12])] = np.nan
    np.testing.assert_array_equal(values["flux"], expected.astype(np.float32))


@pytest.mark.parametrize("fill", [1e20, -1, 2.5, np.inf, 2**40])
def test_a_value_that_the_type_cannot_hold_stands_for_nothing(fill: float, tmp_path: Path) -> None:
    values = _read(_write(tmp_path / "dataset.h5", "<u2", _FillValue=fill))
    np.testing.assert_array_equal(values["flux"], STORED.astype(np.float32))


def test_a_wider_fill_value_is_found_among_narrow_values(tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", _FillValue=1e20)
    with h5py.File(path, "r+") as file:
        file[VALUE.format("flux")][3, 4] = 1e20  # as float32 another number than as float64
    assert np.argwhere(np.isnan(_read(path)["flux"])).tolist() == [[3, 4]]


@pytest.mark.parametrize("name", ["scale_factor", "add_offset", "_FillValue"])
@pytest.mark.parametrize("value", ["0.5", [[1.0, 2.0]], 1 + 2j, h5py.Empty("f4"), True], ids=str)
def test_what_is_no_number_is_refused(name: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=rf"dataset.h5: the attribute {name} of flux is .* number.* is expected"):
        Shard.open(_write(tmp_path / "dataset.h5", **{name: value}))


@pytest.mark.parametrize(
    "attributes", [{"scale_factor": 0}, {"scale_factor": np.nan}, {"add_offset": np.inf}, {"scale_factor": [1.0, 2.0]}]
)
def test_numbers_that_cannot_be_meant_are_refused(attributes: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="one finite number.* is expected"):
        Shard.open(_write(tmp_path / "dataset.h5", **attributes))


@pytest.mark.parametrize("name", ["dataset/params/log_g", "spectrumdataset/wave", "dataset/arrays/mask/value"])
def test_elsewhere_they_are_refused(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5")
    with h5py.File(path, "r+") as file:
        if name not in file:
            file[name] = np.zeros((ROWS, PIXELS), int)
        file[name].attrs["scale_factor"] = 0.1
    (finding,) = check_shard(path)
    assert finding.level == "fault" and "has the attributes scale_factor 0.1 and add_offset 0" in finding.sentence


def test_inspect_shows_them_and_repack_writes_the_values(tmp_path: Path) -> None:
    path = _write(tmp_path / "dataset.h5", "<i2", scale_factor=0.25, add_offset=1, missing_value=3)
    found = inspect_path(path).to_dict()["shards"][0]
    assert found["storage"]["flux"]["packing"] == {"scale_factor": 0.25, "add_offset": 1, "missing_values": [3]}
    assert found["invalid"]["flux"] == 1
    repack(path, tmp_path / "plain.h5")
    np.testing.assert_array_equal(_read(tmp_path / "plain.h5")["flux"], _read(path)["flux"])
