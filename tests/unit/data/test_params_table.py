"""Labels are found in every layout, and a hostile file cannot run code."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from shard_variants import Variant, make_sample, write_variant

from spectral_search.data.params_table import ParamsTable, decode_name_list
from spectral_search.data.shard import Shard
from spectral_search.errors import RequestError

NAMES = ["log_g", "T_eff", "é", "日本", "with space", "new\nline", "q'uote\"s", ""]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_lists_of_strings_of_every_protocol(protocol: int) -> None:
    assert decode_name_list(pickle.dumps(NAMES, protocol)) == NAMES
    assert decode_name_list(pickle.dumps(["one"], protocol)) == ["one"]
    assert decode_name_list(pickle.dumps([], protocol)) == []


def test_strings_of_python_2() -> None:
    assert decode_name_list(b"(lp0\nS'log_g'\np1\naS'T_eff'\np2\na.") == ["log_g", "T_eff"]


class _Hostile:
    """Unpickling this makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_names_are_refused_and_run_nothing(protocol: int, tmp_path: Path) -> None:
    witness = tmp_path / "made_by_the_pickle"
    hostile = pickle.dumps([_Hostile(witness), "log_g"], protocol)
    with pytest.raises(ValueError, match="where only a list of strings is allowed"):
        decode_name_list(hostile)
    path = write_variant(tmp_path / "dataset.h5", make_sample(), Variant())
    with h5py.File(path, "r+") as file:
        file["dataset/params/table"].attrs["values_block_0_kind"] = np.void(hostile)
    with pytest.raises(RequestError, match="cannot be read as plain strings"):
        Shard.open(path)
    assert not witness.exists()
    pickle.loads(hostile)  # the pickle is live: this is what was refused
    assert witness.exists()


@pytest.mark.parametrize(
    "value", [["a", 1], ["a", ["b"]], ("a", "b"), "a", {"a": "b"}, ["a", None], [b"a"], ["a", 1.5], [np.str_("a")]]
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_anything_but_a_flat_list_of_strings_is_refused(value: object, protocol: int) -> None:
    with pytest.raises(ValueError):
        decode_name_list(pickle.dumps(value, protocol))


@pytest.mark.parametrize("raw", [b"", b"log_g", b"(lp0\nVlog_g\n", b"\x80\x05", b"(lp0\nVa\np1\nag1\na."])
def test_broken_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        decode_name_list(raw)


def test_pandas_agrees_with_what_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "log_g": np.linspace(1, 5, 7),
            "T_eff": np.linspace(4000, 5000, 7).astype(np.float32),
            "id": np.arange(7),
            "flag": np.arange(7) % 2 == 0,
            "seen": pd.date_range("2024-01-01", periods=7),
            "name": list("abcdefg"),
            "M_H": np.linspace(-1, 0, 7),
        }
    )
    path = tmp_path / "labels.h5"
    frame.to_hdf(path, key="dataset/params", format="table", data_columns=["id"])
    with h5py.File(path) as file:
        table = ParamsTable(file["dataset/params"], "labels.h5")
        values = pd.DataFrame(table.read())
    assert (table.layout, table.rows) == ("pandas table", 7)
    pd.testing.assert_frame_equal(values[frame.columns.tolist()], frame, check_dtype=False, check_freq=False)
    assert values["flag"].dtype == bool and values["T_eff"].dtype == np.float32


@pytest.mark.parametrize(("attribute", "message"), [(None, "is missing"), (["log_g"], "1 names for 3 columns")])
def test_names_that_do_not_fit_the_block(attribute: list[str] | None, message: str, tmp_path: Path) -> None:
    path = write_variant(tmp_path / "dataset.h5", make_sample(), Variant())
    with h5py.File(path, "r+") as file:
        table = file["dataset/params/table"]
        block = next(name for name in table.dtype.names if table.dtype[name].shape == (3,))
        del table.attrs[f"{block}_kind"]
        if attribute is not None:
            table.attrs[f"{block}_kind"] = np.bytes_(pickle.dumps(attribute, 0))
    with pytest.raises(RequestError, match=message):
        Shard.open(path)
