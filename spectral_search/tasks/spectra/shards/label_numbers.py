"""The one rule by which labels are read as numbers, for a run and for its inspection alike.

Integers and floats of any width are numbers. So are texts that write one; words for "not there" are NaN. Truths, times,
complex numbers and whatever else HDF5 can hold are none, and are refused with the row and what stands there.

Shape suffixes: N spectra.
"""

import re

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.stored_column import PLAIN_KINDS

NUMBERS = ("log_g", "T_eff", "M_H", "snr")
"""Labels that are used as numbers: dex, kelvin, dex and (median flux/error)."""
_MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "none", "null", "nat", "--", "-", "masked"})
"""Texts (in lower case) that say that there is no number; the masks of numpy and astropy print as `--`."""
# float() alone would also take 1_000; D is Fortran's exponent.
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eEdD]([+-]?\d+))?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_WORDS = {"b": "true or false", "M": "times", "m": "lengths of time", "c": "complex numbers", "O": "objects"}
_SHOWN = 40


def label_values(stored_N: np.ndarray, name: str, file_name: str) -> np.ndarray:
    """A label as it is used: `NUMBERS` as numbers, others as the numbers, truths, times or texts that they are.

    Raises:
        RequestError: A row holds none; the sentence names file, label, row and what is there.
    """
    if name in NUMBERS:
        return _as_numbers(stored_N, name, file_name)
    if stored_N.dtype.kind in PLAIN_KINDS or _are_texts(stored_N):
        return stored_N
    raise _wrong_type(stored_N, name, file_name, "a number or a text")


def _as_numbers(stored_N: np.ndarray, name: str, file_name: str) -> np.ndarray:
    """Reads a column as numbers.

    Args:
        stored_N: As `ParamsTable.read` gives it.
        name, file_name: For the message.

    Returns:
        The column itself where it holds numbers, or float64 with NaN where a text says that there is none.

    Raises:
        RequestError: A row holds no number.
    """
    if stored_N.dtype.kind in "iuf":
        return stored_N
    if not _are_texts(stored_N):
        raise _wrong_type(stored_N, name, file_name, "a number")
    known: dict[str, float | None] = {}
    for text in stored_N:
        if text not in known:
            known[text] = _number(text)
    bad = [row for row, text in enumerate(stored_N) if known[text] is None]
    if bad:
        raise RequestError(
            f"{file_name}: the label {name} is text, and {_shown(stored_N[bad[0]])} in row {bad[0]:,} is no number "
            f"({len(bad):,} of {len(stored_N):,} rows hold none); write it as float64, NaN where it is not known."
        )
    return np.array([known[text] for text in stored_N], dtype=np.float64)


def check_finite(numbers_N: np.ndarray, stored_N: np.ndarray, name: str, file_name: str) -> None:
    """Refuses a label that must be known in every row and is not.

    Raises:
        RequestError: With how many rows lack it, the first of them and what stands there.
    """
    bad = np.flatnonzero(~np.isfinite(numbers_N.astype(np.float64)))
    if len(bad):
        raise RequestError(
            f"{file_name}: {name} is not finite for {len(bad):,} of {len(numbers_N):,} spectra (the first: row "
            f"{bad[0]:,} holds {_shown(stored_N[bad[0]])}); remove those rows or write their labels again."
        )


def _shown(value: object) -> str:
    """A stored value for a sentence, on one line and not longer than one."""
    text = repr(value.item() if isinstance(value, np.generic) and value.dtype.kind != "V" else value)
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _are_texts(stored_N: np.ndarray) -> bool:
    return stored_N.dtype.kind == "O" and all(isinstance(value, str) for value in stored_N)


def _wrong_type(stored_N: np.ndarray, name: str, file_name: str, wanted: str) -> RequestError:
    what = _WORDS.get(stored_N.dtype.kind, "values of several parts")
    first = f"; row 0 holds {_shown(stored_N[0])}" if len(stored_N) else ""
    return RequestError(
        f"{file_name}: the label {name} must be {wanted} and is stored as {what} ({stored_N.dtype}){first}. Write it "
        "again as float64."
    )


def _number(text: str) -> float | None:
    word = text.strip()
    if word.lower() in _MISSING:
        return float("nan")
    if _INFINITE.fullmatch(word):
        return float(word)
    found = _NUMBER.fullmatch(word)
    return float(f"{found[1]}e{found[2] or 0}") if found else None
