"""Writes one label in every stored type and layout in which HDF5, h5py and pandas can keep it.

Shape suffixes: N spectra.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

VALUES = np.array([4.5, 1.0, 2.25, 4.5, 3.0, 1.0])
"""Exact in float16; three of them are whole, none is the code of its category."""
WHOLE = np.array([5, 1, 2, 5, 3, 1])
TEXTS = np.array([f"{value:g}" for value in VALUES], dtype=object)
_STAMPS = np.datetime64("2024-01-01", "us") + np.arange(6).astype("m8[D]")


@dataclass(frozen=True)
class Stored:
    """A column as it is handed to a writer, and what must come of it.

    Attributes:
        values: For h5py or pandas.
        expected: The numbers that it stands for; None where it must be refused.
        said: What a refusal says (a pattern).
        dtype: For h5py, where the values do not tell.
    """

    values: Any
    expected: np.ndarray | None
    said: str = ""
    dtype: Any = None


def _with(values: np.ndarray, row: int, value: object) -> np.ndarray:
    changed = values.copy()
    changed[row] = value
    return changed


_NAMES = h5py.enum_dtype({"1": 0, "2.25": 1, "3": 2, "4.5": 3, "dwarf": 9}, "i2")
_CODES = np.array([3, 0, 1, 3, 2, 0], "i2")
_COMPLEX = VALUES + 0.5j
_TEXT_SAID = r"log_g is text, and 'dwarf' in row 4 is no number \(1 of 6 rows"

# What both pandas and h5py can write.
COMMON: dict[str, Stored] = {
    **{code: Stored(VALUES.astype(code), VALUES) for code in ("f2", "f4", "f8", ">f4", ">f8", "g")},
    **{code: Stored(WHOLE.astype(code), WHOLE) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")},
    **{code: Stored(WHOLE.astype(code), WHOLE) for code in (">i2", ">u4")},
    "complex128": Stored(_COMPLEX, None, r"log_g must be a number .* complex numbers .*row 0 holds \(4.5\+0.5j\)"),
    "complex64": Stored(_COMPLEX.astype("c8"), None, "complex numbers .*row 0 holds"),
    "bool": Stored(WHOLE > 2, None, "true or false .*row 0 holds True"),
    "text": Stored(TEXTS, VALUES),
    "padded text": Stored(_with(TEXTS, 0, " 4.50 "), VALUES),
    "Fortran": Stored(_with(TEXTS, 0, "0.45D+01"), VALUES),
    "a word": Stored(_with(TEXTS, 4, "dwarf"), None, _TEXT_SAID),
    "decimal comma": Stored(_with(TEXTS, 3, "4,5"), None, "'4,5' in row 3 is no number"),
    "underscore": Stored(_with(TEXTS, 3, "4_5"), None, "'4_5' in row 3 is no number"),
    "dashes": Stored(_with(TEXTS, 2, "--"), None, r"not finite for 1 of 6 spectra \(the first: row 2 holds '--'"),
    "no text": Stored(_with(TEXTS, 2, ""), None, "the first: row 2 holds ''"),
    "NaN": Stored(_with(VALUES, 2, np.nan), None, "the first: row 2 holds nan"),
    "infinite": Stored(_with(VALUES, 2, -np.inf), None, "the first: row 2 holds -inf"),
}  # fmt: skip

PANDAS: dict[str, Stored] = {
    "categories": Stored(pd.Categorical(VALUES), VALUES),
    "ordered": Stored(pd.Categorical(VALUES, ordered=True), VALUES),
    "reversed": Stored(pd.Categorical(VALUES, categories=sorted(set(VALUES), reverse=True)), VALUES),
    "unused": Stored(pd.Categorical(VALUES, categories=[9.0, *sorted(set(VALUES))]), VALUES),
    "whole categories": Stored(pd.Categorical(WHOLE), WHOLE),
    "text categories": Stored(pd.Categorical(TEXTS), VALUES),
    "no category": Stored(pd.Categorical(_with(VALUES, 1, np.nan)), None, "the first: row 1 holds nan"),
    "no whole category": Stored(pd.Categorical([5, None, 2, 5, 3, 1]), None, "the first: row 1 holds nan"),
    "no text category": Stored(pd.Categorical(_with(TEXTS, 1, None)), None, "the first: row 1 holds ''"),
    "word category": Stored(pd.Categorical(_with(TEXTS, 4, "dwarf")), None, _TEXT_SAID),
    "bool categories": Stored(pd.Categorical(WHOLE > 2), None, "true or false"),
    "time categories": Stored(pd.Categorical(pd.DatetimeIndex(_STAMPS)), None, "stored as times"),
    "times": Stored(pd.DatetimeIndex(_STAMPS), None, r"stored as times .*row 0 holds .*2024"),
    "times of a zone": Stored(pd.DatetimeIndex(_STAMPS, tz="UTC"), None, "stored as times"),
    "lengths of time": Stored(pd.to_timedelta(WHOLE, unit="s"), None, "stored as lengths of time"),
    "periods": Stored(pd.period_range("2024", periods=6, freq="D"), None, r"pandas' type period\[D\]"),
    "string": Stored(pd.array(TEXTS, dtype="string"), VALUES),
    "no string": Stored(pd.array(_with(TEXTS, 1, None), dtype="string"), None, "the first: row 1 holds"),
}  # fmt: skip

H5PY: dict[str, Stored] = {
    "bytes": Stored(np.array(list(TEXTS), "S"), VALUES),
    "wide bytes": Stored(np.array(list(TEXTS), "S32"), VALUES),
    "enumeration": Stored(_CODES, VALUES, dtype=_NAMES),
    "named word": Stored(_with(_CODES, 4, 9), None, _TEXT_SAID, _NAMES),
    "unnamed": Stored(_with(_CODES, 4, 7), None, "'unnamed 7' in row 4 is no number", _NAMES),
    "opaque": Stored(np.array([b"4.5"] * 6, "V3"), None, "several parts .*row 0 holds"),
    "opaque times": Stored(_STAMPS.astype(h5py.opaque_dtype(_STAMPS.dtype)), None, "stored as times"),
    "compound": Stored(np.zeros(6, [("value", "f8"), ("error", "f8")]), None, r"several parts .*row 0 holds"),
    "one value a row": Stored(VALUES[:, None], VALUES),
    "three values a row": Stored(np.tile(VALUES[:, None], 3), None, "holds 3 values in each row where one is expected"),
    "two axes a row": Stored(np.ones((6, 2, 2)), None, "holds 2 x 2 values in each row"),
}  # fmt: skip
# What only a dataset of its own can hold, or h5py writes into one only.
DATASETS: dict[str, Stored] = {
    "rows of different length": Stored(
        [np.ones(n, "f4") for n in range(1, 7)], None, "objects .*row 0 holds array", h5py.vlen_dtype("f4")
    ),
    "references": Stored(None, None, "objects .*row 0 holds <HDF5 object reference>", h5py.ref_dtype),
    "no values": Stored(h5py.Empty("f8"), None, r"is an empty dataset \(of float64"),
    "one value": Stored(4.5, None, "is one value, not one for each row"),
}

Writer = Callable[[Path, Stored], None]


def cases() -> Iterator[tuple[str, str]]:
    """Every (layout, type) that can be written."""
    yield from (("pandas table", name) for name in (*COMMON, *PANDAS))
    yield from (("pandas data columns", name) for name in ("f4", "i8", "bool", "text", "a word", "dashes", *PANDAS))
    fixed = [name for name in (*COMMON, *PANDAS) if "categor" not in name and name not in _CATEGORICAL]
    yield from (("pandas fixed", name) for name in fixed)
    for layout in ("compound", "compound dataset"):
        yield from ((layout, name) for name in (*COMMON, *H5PY))
    yield from (("datasets", name) for name in (*COMMON, *H5PY, *DATASETS))


_CATEGORICAL = {"ordered", "reversed", "unused"}


def stored(name: str) -> Stored:
    """The column of a name."""
    return next(group[name] for group in (COMMON, PANDAS, H5PY, DATASETS) if name in group)


def write(path: Path, layout: str, column: Stored) -> Path:
    """Writes a shard of six spectra whose label log_g is the column, beside T_eff and an id."""
    with h5py.File(path, "w") as file:
        for name in ("flux", "error"):
            file[f"dataset/arrays/{name}/value"] = np.ones((6, 4), "f4")
        file["spectrumdataset/wave"] = np.linspace(7100.0, 8850.0, 4)
        if not layout.startswith("pandas"):
            _write_plain(file, layout, column)
    if layout.startswith("pandas"):
        frame = pd.DataFrame({"id": np.arange(6) + 10, "T_eff": np.linspace(4000.0, 5000.0, 6)})
        frame["log_g"] = column.values
        options: dict[str, Any] = {"format": "fixed" if layout == "pandas fixed" else "table"}
        if layout == "pandas data columns":
            options |= {"data_columns": True, "min_itemsize": {"log_g": 12} if is_text(column) else None}
        elif layout == "pandas table":
            options["index"] = False  # saves half of the time
        frame.to_hdf(path, key="dataset/params", mode="a", **options)
    return path


def is_text(column: Stored) -> bool:
    """Whether the column is text, and no categories of it."""
    return pd.api.types.is_string_dtype(column.values) and not isinstance(column.values, pd.Categorical)


def _write_plain(file: h5py.File, layout: str, column: Stored) -> None:
    values, dtype = column.values, column.dtype
    if column is DATASETS["references"]:
        values = np.array([file["spectrumdataset"].ref] * 6, dtype=dtype)
    elif isinstance(values, np.ndarray) and values.dtype.kind == "O" and dtype is None:
        dtype = h5py.string_dtype()
    if layout == "datasets":
        if isinstance(values, list):
            file.create_dataset("dataset/params/log_g", (6,), dtype=dtype)[:] = np.array(values, dtype=object)
        else:
            file.create_dataset("dataset/params/log_g", data=values, dtype=dtype)
        file["dataset/params/T_eff"], file["dataset/params/id"] = np.linspace(4000.0, 5000.0, 6), np.arange(6) + 10
        return
    field = (np.dtype(dtype or values.dtype), values.shape[1:])
    table = np.zeros(6, [("id", "i8"), ("log_g", *field), ("T_eff", "f8")])
    table["id"], table["T_eff"] = np.arange(6) + 10, np.linspace(4000.0, 5000.0, 6)
    table["log_g"] = values
    file["dataset/params" + "/table" * (layout == "compound")] = table
