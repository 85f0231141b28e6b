"""Which stored types the arrays of a shard may have; checked on headers, before anything opens them for reading."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from spectral_search.errors import RequestError

_NUMBERS, _MASKS = "fiu", "fiub"
_CURES = {
    "c": "write the real part as float32",
    "b": "write it as float32",
    "O": "write it as float32",
    "S": "write it as float32",
}


def refuse_unusable(path: Path, arrays: Mapping[str, h5py.Dataset]) -> None:
    """Refuses arrays whose values are no plain numbers.

    Args:
        path: The file, for messages.
        arrays: flux, error, noisy and mask, those that are there.

    Raises:
        RequestError: With array, type and shape, for every array.
    """
    faults = [f"{path}: {name} {fault}." for name, data in arrays.items() if (fault := _fault(name, data))]
    if faults:
        raise RequestError(*faults)


def _fault(name: str, data: h5py.Dataset) -> str:
    try:
        dtype: np.dtype = data.dtype
    except TypeError as error:  # h5py has no numpy type for it, as for HDF5's times
        return f"has a type that cannot be read ({error}); write it as float32"
    if data.shape is None:
        return f"is an empty dataset (h5py.Empty of {dtype}, without a shape); write one row per spectrum"
    names = h5py.check_enum_dtype(dtype)  # None for bool, which HDF5 stores as one
    if names is not None:
        good = "integers (0 = good) or bool (True = good)" if name == "mask" else "float32"
        return f"is stored as an enumeration ({', '.join(sorted(names))}), expected numbers; write it as {good}"
    if data.id.get_type().get_class() == h5py.h5t.BITFIELD:  # read as integers they would mean the opposite in a mask
        return "is stored as a bitfield, as PyTables stores bool; write it with h5py, a mask as bool (True = good)"
    if dtype.kind not in (_MASKS if name == "mask" else _NUMBERS):
        cure = "write it as integers, 0 = good" if name == "mask" else _CURES.get(dtype.kind, "write one 2-D array")
        return f"is stored as {_words(dtype)} (shape {data.shape}), expected numbers; {cure}"
    return ""


def _words(dtype: np.dtype) -> str:
    if dtype.names is not None:
        return f"a compound of {', '.join(dtype.names)}"
    if h5py.check_string_dtype(dtype) is not None:
        return f"text ({dtype})"
    if h5py.check_ref_dtype(dtype) is not None:
        return "references"
    if h5py.check_vlen_dtype(dtype) is not None:
        return "rows of different length"
    return str(dtype)
