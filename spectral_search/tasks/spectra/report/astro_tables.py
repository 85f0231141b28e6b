"""Tables of predictions as astronomers exchange them, FITS and ECSV, with units and where they come from.

astropy writes them. It is an optional extra, looked for before any work and imported only when a table is written.
FITS knows no dex: its TUNIT is left out for such columns, astropy reads the unit from the header's comments all the
same, and TCOMM says it for everybody else.
"""

import importlib.util
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd
    from astropy.table import Column, Table

FORMATS = {".fits": "fits", ".ecsv": "ascii.ecsv"}
"""astropy's name of a format, by the ending of a file."""
_EXTRA = "astropy"
_LOG_GRAVITY, _DEX = "dex(cm/s2)", "dex"
_COLUMNS = {
    "id": (None, "as in the shard"),
    "log_g": (_LOG_GRAVITY, "label: log10 of surface gravity in cm/s2"),
    "log_g_predicted": (_LOG_GRAVITY, "predicted log10 of surface gravity in cm/s2"),
    "T_eff": ("K", "label: effective temperature"),
    "M_H": (_DEX, "label: log10 of metallicity relative to the Sun"),
    "a_M": (_DEX, "label: log10 of alpha elements over metals relative to the Sun"),
    "C_M": (_DEX, "label: log10 of carbon over metals relative to the Sun"),
    "snr": ("", "label: median over pixels of flux / error"),
    "mag": ("mag", "label: apparent magnitude"),
    "redshift": ("", "label: redshift"),
}
"""Unit, as astropy spells it, and description of each column that is known; others get neither."""
CARDS = {
    "creator": ("CREATOR", "what made this table"),
    "date": ("DATE", "when, UTC"),
    "model": ("MODEL", "as it was named"),
    "run": ("RUN", "search that the model is from"),
    "trial": ("TRIAL", "its number in the search"),
    "epoch": ("EPOCH", "of the weights"),
    "val_r2": ("VAL_R2", "that selected the weights"),
    "weights_sha256": ("WEIGHTS", "SHA-256 of the file of weights"),
    "trained_on": ("TRAINKEY", "fingerprint of the training data"),
    "data": ("DATA", "the spectra, as they were named"),
    "noise_level": ("NOISELVL", "factor on the error, of training"),
    "noise": ("NOISE", "of the spectra predicted from"),
}
"""FITS keyword and comment of each entry of a provenance; others are left out of a FITS header."""

_CARD_ROOM = 80 - len("KEYWORD = '' / ")
"""Characters of a card's text and its comment; longer text goes on in further cards."""


def require_astropy(path: Path) -> None:
    """Refuse a table that only astropy can write where it is not installed.

    Raises:
        RequestError: It is not installed.
    """
    if importlib.util.find_spec(_EXTRA) is None:
        raise RequestError(
            f"{path} needs astropy to be written, which is not installed: `pip install 'spectral-search[astropy]'`, or "
            "write .csv or .parquet."
        )


def require_ascii(labels: "pd.DataFrame", path: Path) -> None:
    """Refuse text that FITS cannot hold.

    Raises:
        RequestError: A column holds text beyond ASCII; the first such value is told.
    """
    if path.suffix.lower() != ".fits":
        return
    for name in labels:
        texts = _texts(labels[name]) if getattr(labels[name].dtype, "kind", "O") not in "biuf" else []
        for row, text in enumerate(texts):
            if not text.isascii():
                raise RequestError(
                    f"A FITS table holds ASCII text alone, and {name} of row {row} is {text!r}: write .ecsv."
                )


def write_astro_table(
    table: "pd.DataFrame", target: Path, ending: str, provenance: Mapping[str, Any] | None = None
) -> None:
    """Write a table with units as FITS or ECSV.

    Args:
        table: What to write; columns named in `_COLUMNS` get their units.
        target: The file, whatever it is called.
        ending: .fits or .ecsv.
        provenance: Plain values; ECSV keeps all, FITS those of `CARDS`.
    """
    from astropy.table import QTable, Table

    # A QTable keeps in a FITS header what a Table would lose: units that FITS does not know.
    made = QTable() if ending == ".fits" else Table()
    for name in table:
        made[name] = _column(table[name])
    entries = {key: value for key, value in (provenance or {}).items() if value is not None}
    made.meta.update(_cards(made, entries) if ending == ".fits" else entries)
    with warnings.catch_warnings():
        # That FITS lacks the unit is known; TCOMM says it.
        warnings.filterwarnings("ignore", message="The unit '.*' could not be saved in native FITS format")
        made.write(target, format=FORMATS[ending], overwrite=True)


def _column(series: "pd.Series[Any]") -> "Column":
    """A column with its unit; what is missing in other than floats is masked, in floats it is NaN."""
    from astropy.table import Column, MaskedColumn

    values_N, missing_N = _values(series)
    unit, description = _COLUMNS.get(str(series.name), (None, None))
    about = {"name": series.name, "unit": unit if values_N.dtype.kind == "f" else None, "description": description}
    if not missing_N.any():
        return Column(values_N, **about)
    column = MaskedColumn(values_N, mask=missing_N, **about)
    if values_N.dtype.kind == "i":
        column.fill_value = np.iinfo(values_N.dtype).min  # FITS's null: astropy's own, 999999, might be somebody's id
    elif values_N.dtype.kind in "bu":
        column.info.serialize_method["fits"] = "data_mask"  # FITS has no null of these that astropy would read
    return column


def _values(series: "pd.Series[Any]") -> tuple[np.ndarray, np.ndarray]:
    """Values of one numpy type and which are missing."""
    if series.dtype == object:
        series = series.convert_dtypes()
    missing_N = series.isna().to_numpy(bool)
    kind = getattr(series.dtype, "numpy_dtype", series.dtype)
    if getattr(kind, "kind", "O") == "f":
        return series.to_numpy(kind, na_value=np.nan), np.zeros(len(series), bool)
    if getattr(kind, "kind", "O") in "biu":
        return series.fillna(False if kind.kind == "b" else 0).to_numpy(kind), missing_N
    return np.array(_texts(series), dtype=str), missing_N


def _texts(series: "pd.Series[Any]") -> list[str]:
    """Values as text; bytes are decoded, what is missing is empty."""
    return [
        "" if missing else value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
        for value, missing in zip(series, series.isna(), strict=True)
    ]


def _cards(table: "Table", entries: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes the header of a FITS table: the provenance, then TCOMMn, what the n-th column is."""
    cards = {CARDS[key][0]: _card(value, CARDS[key][1]) for key, value in entries.items() if key in CARDS}
    place = 0
    for column in table.itercols():
        place += 1
        known = _COLUMNS.get(column.info.name)
        if known is not None:
            cards[f"TCOMM{place}"] = known[1] + (", in dex" if known[0] in (_LOG_GRAVITY, _DEX) else ""), ""
        place += getattr(column.info, "serialize_method", {}).get("fits") == "data_mask"  # its mask follows it
    return cards


def _card(value: Any, comment: str) -> tuple[Any, str]:
    """A value as a FITS card takes it, numbers that are finite and ASCII, with its comment where there is room."""
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value, comment
    text = str(value).encode("ascii", "backslashreplace").decode()
    has_room = len(text.replace("'", "''")) + len(comment) <= _CARD_ROOM
    return text, comment if has_room else ""
