"""One column of labels as a file stores it, and what it stands for: numbers, truths, times or texts.

What is stored is not always what is meant: pandas keeps categories as their numbers and dates as nanoseconds, an
HDF5 enumeration is an integer with names. A column is given as what it means, or not at all.

Shape suffixes: N spectra, K categories.
"""

import re
from dataclasses import dataclass

import h5py
import numpy as np

PLAIN_KINDS = frozenset("biufmM")
"""NumPy's kinds that are given as they are; texts are, as object arrays of str, too."""
_TIME = re.compile(r"(datetime64|timedelta64)(?:\[(ns|us|ms|s)(?:, *[^]]+)?\])?")
# What pandas notes of types that are stored as themselves.
_AS_STORED = re.compile(r"|object|string|bytes\d+|(?:int|uint|float|complex)\d+|integer|float")


@dataclass(frozen=True)
class StoredColumn:
    """Where one column lies and how it is to be understood.

    Attributes:
        name: The label's name.
        source: A dataset, or a compound one of which the column is a field.
        field: The field of the compound.
        position: Which column of a 2-D block.
        noted: The type that pandas noted beside the values, such as `bool` or `datetime64[ns]`.
        categories: What the values, which are codes from 0, stand for; another code means that there is no value.
        fault: Why the column cannot be used, as the end of "NAME ..."; empty for one that can.
    """

    name: str
    source: h5py.Dataset | None
    field: str | None = None
    position: int | None = None
    noted: str = ""
    categories: "StoredColumn | None" = None
    fault: str = ""

    @property
    def complaint(self) -> str:
        """Why the column cannot be used, as the end of "NAME ..."; empty for one that can be read."""
        if self.categories is not None and self.categories.complaint:
            return self.categories.complaint
        if self.fault or self.noted == "bool" or _TIME.fullmatch(self.noted) or _AS_STORED.fullmatch(self.noted):
            return self.fault
        return f"is of pandas' type {self.noted}, kept as numbers of another meaning; write it as float64"

    @property
    def is_plain(self) -> bool:
        """Whether it holds numbers, truths, times or texts."""
        dtype = (self.categories or self)._dtype
        return not self.complaint and (dtype.kind in PLAIN_KINDS or h5py.check_string_dtype(dtype) is not None)

    @property
    def _dtype(self) -> np.dtype:
        """Of one value, as stored."""
        if self.source is None:
            return np.dtype("V")
        dtype = self.source.dtype if self.field is None else self.source.dtype[self.field]
        return dtype if dtype.subdtype is None else dtype.subdtype[0]

    @property
    def _is_bitfield(self) -> bool:
        if self.source is None:
            return False
        kind = self.source.id.get_type()
        if self.field is not None:
            kind = kind.get_member_type(kind.get_member_index(self.field.encode()))
        while kind.get_class() == h5py.h5t.ARRAY:
            kind = kind.get_super()
        return bool(kind.get_class() == h5py.h5t.BITFIELD)

    def pick(self, block: np.ndarray) -> np.ndarray:
        """The column's values out of what was read of its source; (N,), codes where there are categories."""
        values = block if self.position is None else block[:, self.position]
        names = h5py.check_enum_dtype(self._dtype)
        if names is not None and self.noted != "bool":
            return _named(values, names)
        if self.noted == "bool" or (self._is_bitfield and values.dtype.itemsize == 1):  # PyTables' bool
            return values.astype(bool)
        time = _TIME.fullmatch(self.noted)
        if time and values.dtype.kind in "iu":
            return values.astype(np.int64).view(f"{time[1]}[{time[2] or 'ns'}]")
        return _native(values)


def categorised(codes_N: np.ndarray, categories_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Puts what codes stand for in their place.

    Args:
        codes_N: Integers; -1 means that there is no value.
        categories_K: Their meanings.

    Returns:
        The values (N,), NaN, NaT or "" where there is none, and the rows whose code stands for nothing.
    """
    unknown = np.flatnonzero((codes_N < -1) | (codes_N >= len(categories_K)))
    missing_N = codes_N < 0
    meaning_K = categories_K
    if meaning_K.dtype.kind in "iu" and missing_N.any():
        meaning_K = meaning_K.astype(np.float64)
    elif meaning_K.dtype.kind == "b" and missing_N.any():
        meaning_K = meaning_K.astype(str).astype(object)
    nothing = {"f": np.nan, "c": np.nan, "O": "", "M": np.datetime64("NaT"), "m": np.timedelta64("NaT")}
    values_N = np.full(len(codes_N), nothing.get(meaning_K.dtype.kind, 0), dtype=meaning_K.dtype)
    known_N = ~missing_N & (codes_N < len(categories_K))
    values_N[known_N] = meaning_K[codes_N[known_N]]
    return values_N, unknown


def _named(values: np.ndarray, names: dict[str, int]) -> np.ndarray:
    """The names of an HDF5 enumeration; a number without a name stays a number, which the name's place then shows."""
    by_value = {int(value): name for name, value in names.items()}
    return np.array([by_value.get(int(value), f"unnamed {int(value)}") for value in values], dtype=object)


def _native(values: np.ndarray) -> np.ndarray:
    """Native byte order, own memory; byte strings become str, and objects that are no texts stay what they are."""
    if values.dtype.kind == "S" or values.dtype.kind == "O":
        made = np.empty(len(values), dtype=object)
        for row, item in enumerate(values):
            made[row] = item.decode("utf-8", "replace") if isinstance(item, bytes) else item
        return made
    if values.dtype.names is not None:
        return values
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
