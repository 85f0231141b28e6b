"""Labels are found in every layout, and a hostile file cannot run code."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from shard_variants import Variant, make_sample, write_variant

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.params_table import ParamsTable, decode_name_list
from spectral_search.tasks.spectra.shards.shard import Shard

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


def _group(path: Path, **columns: object) -> h5py.Group:
    file = h5py.File(path, "w")
    group: h5py.Group = file.create_group("dataset/params")
    for name, values in columns.items():
        group[name] = values
    return group


def test_categories_of_columns_in_groups_of_their_own(tmp_path: Path) -> None:
    """As AnnData writes a data frame."""
    group = _group(tmp_path / "a.h5", T_eff=np.ones(4), **{
        "log_g/codes": np.array([1, 0, -1, 1], "i1"), "log_g/categories": np.array([1.5, 4.5]),
    })  # fmt: skip
    with group.file:
        table = ParamsTable(group, "a.h5")
        np.testing.assert_array_equal(table.read(["log_g"])["log_g"], [4.5, 1.5, np.nan, 4.5])


def test_missing_truths_are_not_false(tmp_path: Path) -> None:
    group = _group(tmp_path / "a.h5", **{
        "binary/codes": np.array([1, 0, -1], "i1"), "binary/categories": np.array([False, True]),
    })  # fmt: skip
    with group.file:
        assert ParamsTable(group, "a.h5").read()["binary"].tolist() == ["True", "False", ""]


def test_codes_without_a_category_are_refused_with_their_row(tmp_path: Path) -> None:
    for codes in (np.array([0, 1, 2, 0]), np.array([0, 1, -2, 0])):
        group = _group(tmp_path / "a.h5", **{"log_g/codes": codes, "log_g/categories": np.array([1.5, 4.5])})
        with (
            group.file,
            pytest.raises(RequestError, match=f"log_g holds code {codes[2]} in row 2 and there is no such"),
        ):
            ParamsTable(group, "a.h5").read(["log_g"])


def test_categories_that_are_lost(tmp_path: Path) -> None:
    path = tmp_path / "labels.h5"
    frame = pd.DataFrame({"log_g": pd.Categorical([1.5, 4.5]), "T_eff": [4000.0, 5000.0]})
    frame.to_hdf(path, key="dataset/params", format="table")
    with h5py.File(path, "r+") as file:
        del file["dataset/params/meta"]
        table = ParamsTable(file["dataset/params"], "labels.h5")
        assert list(table.read()) == ["T_eff"]
        with pytest.raises(RequestError, match=r"log_g is a pandas categorical whose categories .* are missing"):
            table.read(["log_g"])


def test_several_categoricals_have_categories_of_their_own(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {name: pd.Categorical([first, 9.0, first]) for name, first in {"log_g": 1.5, "T_eff": 4e3}.items()}
    )
    frame.to_hdf(tmp_path / "a.h5", key="dataset/params", format="table")
    with h5py.File(tmp_path / "a.h5") as file:
        values = ParamsTable(file["dataset/params"], "a.h5").read()
    assert {name: column.tolist() for name, column in values.items()} == {
        "log_g": [1.5, 9, 1.5],
        "T_eff": [4e3, 9, 4e3],
    }


def test_a_column_that_is_there_twice_is_refused_only_where_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "labels.h5"
    pd.DataFrame(np.ones((3, 3)), columns=["log_g", "T_eff", "log_g"]).to_hdf(
        path, key="dataset/params", format="table"
    )
    with h5py.File(path) as file:
        table = ParamsTable(file["dataset/params"], "labels.h5")
        assert table.columns == ("log_g", "T_eff") and list(table.read()) == ["T_eff"]
        with pytest.raises(RequestError, match="log_g is there twice"):
            table.read(["log_g"])


@pytest.mark.parametrize("name", ["logg", "LOG_G", "Log g", "logG"])
def test_a_name_that_may_be_meant_is_offered(name: str, tmp_path: Path) -> None:
    group = _group(tmp_path / "a.h5", **{name: np.ones(2), "T_eff": np.ones(2)})
    with group.file, pytest.raises(RequestError, match=f"no column log_g .*; rename {name} to log_g"):
        ParamsTable(group, "a.h5").require("log_g")


@pytest.mark.parametrize("format_", ["table", "fixed"])
def test_a_named_index_is_a_column(format_: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"log_g": [1.0, 2.0]}, index=pd.Index(["HD 1", "HD 2"], name="id"))
    frame.to_hdf(tmp_path / "a.h5", key="dataset/params", format=format_)
    frame.rename_axis(None).to_hdf(tmp_path / "b.h5", key="dataset/params", format=format_)
    with h5py.File(tmp_path / "a.h5") as file:
        values = ParamsTable(file["dataset/params"], "a.h5").read()
    assert values["id"].tolist() == ["HD 1", "HD 2"] and values["log_g"].tolist() == [1, 2]
    with h5py.File(tmp_path / "b.h5") as file:
        assert ParamsTable(file["dataset/params"], "b.h5").columns == ("log_g",)


def test_an_index_beside_a_column_of_its_name_is_not_there_twice(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": [7, 8], "log_g": [1.0, 2.0]}).set_index("id", drop=False)
    frame.to_hdf(tmp_path / "a.h5", key="dataset/params", format="table")
    with h5py.File(tmp_path / "a.h5") as file:
        assert ParamsTable(file["dataset/params"], "a.h5").read()["id"].tolist() == [7, 8]


def test_a_compound_with_a_type_that_numpy_lacks_is_a_plain_sentence(tmp_path: Path) -> None:
    kind = h5py.h5t.create(h5py.h5t.COMPOUND, 12)
    kind.insert(b"log_g", 0, h5py.h5t.IEEE_F64LE)
    kind.insert(b"seen", 8, h5py.h5t.UNIX_D32LE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.create_group("dataset").id, b"params", kind, h5py.h5s.create_simple((2,)))
        with pytest.raises(RequestError, match="a.h5: dataset/params holds a type that cannot be read"):
            ParamsTable(file["dataset/params"], "a.h5")


def test_other_columns_of_odd_types_are_left_alone(tmp_path: Path) -> None:
    table = np.zeros(
        3, [("log_g", "f8"), ("abundances", "f4", (20,)), ("cov", [("a", "f4")]), ("c", "c16"), ("s", "V3")]
    )
    table["log_g"] = [1, 2, 3]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dataset/params/table"] = table
        found = ParamsTable(file["dataset/params"], "a.h5")
        assert list(found.read()) == ["log_g"] and len(found.columns) == 5


def test_a_type_that_numpy_lacks_is_a_plain_sentence(tmp_path: Path) -> None:
    group = _group(tmp_path / "a.h5", log_g=np.ones(2))
    h5py.h5d.create(group.id, b"seen", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((2,)))
    with group.file:
        table = ParamsTable(group, "a.h5")
        assert list(table.read()) == ["log_g"]
        with pytest.raises(RequestError, match="the label seen has a type that cannot be read"):
            table.read(["seen"])
