"""FITS and ECSV tables: what astropy reads again is what was written, with units and provenance."""

import importlib.util
from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import QTable, Table

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.report import prediction_tables as tables
from spectral_search.tasks.spectra.report.astro_tables import CARDS, require_ascii
from spectral_search.tasks.spectra.report.prediction_tables import check_table_name, write_prediction_table

ENDINGS = [".fits", ".ecsv"]
LOG_GRAVITY = u.Unit("dex(cm/s2)")
PROVENANCE = {
    "creator": "spectral-search 0.1.0",
    "date": "2026-01-02T03:04:05",
    "model": "étoile/" + "long" * 30,
    "run": "step1",
    "trial": 3,
    "epoch": 12,
    "val_r2": 0.5,
    "shards": ["test_0/dataset.h5", "test_1/dataset.h5"],
    "trained_on": None,
    "noise": "as recorded",
}


def predictions(**more: object) -> pd.DataFrame:
    columns = {
        "log_g": [1.5, np.nan, 4.25],
        "T_eff": [3750.0, 4000.0, np.nan],
        "M_H": [-1.0, 0.0, 0.5],
        "snr": [3.0, 8.0, 28.0],
        "id": np.array([999_999, -1, 2**60 + 1]),
        "log_g_predicted": np.array([1.4, 3.0, 4.0], np.float32),
    }
    return pd.DataFrame({**columns, **more})


def written(table: pd.DataFrame, folder: Path, ending: str) -> Table:
    """The table as astropy reads it; it warns of nothing, as warnings are errors here."""
    write_prediction_table(table, folder / f"table{ending}", PROVENANCE)
    return Table.read(folder / f"table{ending}")


def kind(column: np.ndarray) -> np.dtype:
    """The type of a column, whatever its byte order: FITS is big-endian."""
    return column.dtype.newbyteorder("=")


pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_come_back_with_their_units(tmp_path: Path, ending: str) -> None:
    frame = predictions(mag=[20.5, 21.0, 22.5], other=[1, 2, 3])
    found = written(frame, tmp_path, ending)
    assert found.colnames == list(frame)
    for name in frame:
        assert kind(found[name]) == frame[name].dtype
        np.testing.assert_array_equal(np.ma.filled(found[name], np.nan) if name != "id" else found[name], frame[name])
    units = {name: found[name].unit for name in found.colnames}
    assert units["log_g"] == units["log_g_predicted"] == LOG_GRAVITY
    assert (units["T_eff"], units["M_H"], units["mag"]) == (u.K, u.dex, u.mag)
    assert units["snr"] == u.dimensionless_unscaled
    assert units["id"] is units["other"] is None
    quantities = QTable.read(tmp_path / f"table{ending}")
    assert quantities["log_g"][0].physical.to_value("cm/s2") == pytest.approx(10**1.5)


@pytest.mark.parametrize("ending", ENDINGS)
def test_any_identifier_comes_back(tmp_path: Path, ending: str) -> None:
    kinds = {
        "text": ["star 1", "a", "a very much longer name"],
        "packed": [b"one", b"two", b"three"],
        "flag": [True, False, True],
        "small": np.array([1, 2, 3], np.int16),
    }
    found = written(predictions(**kinds), tmp_path, ending)
    assert list(map(str, found["text"])) == kinds["text"]
    assert list(map(str, found["packed"])) == ["one", "two", "three"]
    assert list(found["flag"]) == kinds["flag"]
    assert list(found["small"]) == [1, 2, 3]
    assert kind(found["small"]) == np.int16


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_missing_is_masked(tmp_path: Path, ending: str) -> None:
    kinds = {
        "number": pd.array([999_999, None, 2**60 + 1], "Int64"),
        "flag": pd.array([True, None, False], "boolean"),
        "text": ["a", None, "c"],
        "mixed": np.array([True, None, False], object),
    }
    found = written(predictions(**kinds), tmp_path, ending)
    for name in kinds:
        assert list(found[name].mask) == [False, True, False], name
    assert kind(found["number"]) == np.int64
    assert list(found["number"].compressed()) == [999_999, 2**60 + 1]
    assert list(found["flag"].compressed()) == [True, False]
    assert found["flag"].dtype == found["mixed"].dtype == bool
    assert list(map(str, found["text"].compressed())) == ["a", "c"]


def test_ecsv_keeps_the_whole_provenance(tmp_path: Path) -> None:
    found = written(predictions(), tmp_path, ".ecsv")
    assert dict(found.meta) == {key: value for key, value in PROVENANCE.items() if value is not None}
    assert "predicted" in found["log_g_predicted"].info.description


def test_fits_has_a_card_for_each_entry(tmp_path: Path) -> None:
    frame = predictions(flag=pd.array([True, None, False], "boolean"), mag=[20.0, 21.0, 22.0])
    written(frame, tmp_path, ".fits")
    with fits.open(tmp_path / "table.fits") as file:
        file.verify("exception")
        header = file[1].header
    assert header["RUN"] == "step1"
    assert (header["TRIAL"], header["EPOCH"], header["VAL_R2"]) == (3, 12, 0.5)
    assert header["DATE"] == "2026-01-02T03:04:05"
    assert header["MODEL"] == "\\xe9toile/" + "long" * 30
    assert "TRAINKEY" not in header
    assert header.comments["NOISE"] == CARDS["noise"][1]
    assert all(len(keyword) <= 8 for keyword in header)
    # Readers other than astropy are told what a column is even where FITS has no unit for it, masks or not.
    for name in frame.columns.intersection(["log_g", "M_H", "mag"]):
        place = next(n for n in range(1, header["TFIELDS"] + 1) if header[f"TTYPE{n}"] == name)
        assert header[f"TCOMM{place}"].endswith("in dex") == (name != "mag"), name


@pytest.mark.parametrize("length", [40, 55, 60, 66, 67, 68, 69, 200])
def test_cards_take_text_of_any_length(tmp_path: Path, length: int) -> None:
    model = "it's " + "x" * (length - 5)
    write_prediction_table(predictions(), tmp_path / "table.fits", {"model": model})
    assert Table.read(tmp_path / "table.fits").meta["MODEL"] == model


def test_text_that_fits_cannot_hold_is_refused_before_the_work() -> None:
    frame = predictions(id=["a", "b", "étoile"])
    with pytest.raises(RequestError, match=r"id of row 2 is 'étoile': write \.ecsv"):
        require_ascii(frame, Path("table.FITS"))
    require_ascii(frame, Path("table.ecsv"))
    require_ascii(predictions(id=["a", "b", None]), Path("table.fits"))


def test_ecsv_holds_any_text(tmp_path: Path) -> None:
    names = ["étoile", 'a "quoted", one', "星"]
    assert list(written(predictions(id=names), tmp_path, ".ecsv")["id"]) == names


def test_without_astropy_it_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for ending in ENDINGS:
        with pytest.raises(RequestError, match=r"pip install 'spectral-search\[astropy\]'"):
            check_table_name(tmp_path / f"table{ending}")
    check_table_name(tmp_path / "table.csv")


def test_endings_are_known_in_any_case(tmp_path: Path) -> None:
    for ending in tables.TABLE_ENDINGS:
        check_table_name(tmp_path / f"table{ending.upper()}")
    write_prediction_table(predictions(), tmp_path / "table.FITS")
    assert len(Table.read(tmp_path / "table.FITS", format="fits")) == 3
    with pytest.raises(RequestError, match=r"must end in \.csv, \.parquet, \.fits or \.ecsv"):
        check_table_name(tmp_path / "table.txt")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_without_rows_is_written(tmp_path: Path, ending: str) -> None:
    assert len(written(predictions().iloc[:0], tmp_path, ending)) == 0
