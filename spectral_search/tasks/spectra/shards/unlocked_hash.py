"""Row hashes while other threads of Python run: xxhash's binding holds Python's lock for rows of less than 64 KiB.

Machine code calls the C function of the same library for one row after the other. Where the library does not show it,
as where it was linked otherwise, the binding hashes.
Shape suffixes: B rows of a block, L values of each.
"""

import ctypes
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.record.row_hash import UNMARKED, row_hashes
from spectral_search.train.compiled_program import CompiledOnce

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program


def unlocked_hashes(values_BL: np.ndarray) -> np.ndarray:
    """`row_hashes` of a C-contiguous array; without Python's lock once it is compiled."""
    if not _FUNCTIONS.ready:
        return row_hashes(values_BL)
    if not values_BL.flags.c_contiguous:
        raise ValueError("a C-contiguous array is needed")
    rows = len(values_BL)
    hash_B = np.empty(rows, np.uint64)
    row_bytes = values_BL.nbytes // max(1, rows)
    _FUNCTIONS.get()["hash_rows"](_address(), values_BL.ctypes.data, row_bytes, rows, hash_B.ctypes.data)
    return hash_B


def unlocked_mask_hashes(bad_BL: np.ndarray) -> np.ndarray:
    """`mask_hashes`, likewise."""
    marked_B = bad_BL.any(axis=1)
    if not marked_B.any():
        return np.full(len(bad_BL), UNMARKED)
    return np.where(marked_B, unlocked_hashes(bad_BL), UNMARKED)


def compile_hashes() -> None:
    """Have machine code hash in this process from now on, where it can."""
    if _address():
        _FUNCTIONS.get()


@cache
def _address() -> int:
    """Where the library's function (bytes, count) -> hash lies in this process; 0 where none is shown."""
    binding = find_spec("xxhash._xxhash")
    if binding is None:
        return 0
    try:
        library = ctypes.CDLL(binding.origin)
    except OSError:
        return 0
    # The first takes the widest vectors of the CPU, in half of the time; it is there for x86 alone.
    shown = (getattr(library, name, None) for name in ("XXH3_64bits_dispatch", "XXH3_64bits"))
    return next((ctypes.cast(function, ctypes.c_void_p).value or 0 for function in shown if function), 0)


def _written() -> "Program":
    from spectral_search.train.machine_code import I64, I64_P, Program

    program = Program()
    types = I64, I64, I64, I64, I64_P
    with program.function("hash_rows", *types) as (hash_bytes, values, row_bytes, rows, out), program.loop(rows) as row:
        out[row] = program.call(hash_bytes, values + row * row_bytes, row_bytes, gives=I64)
    return program


_FUNCTIONS = CompiledOnce(_written)
