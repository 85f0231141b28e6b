"""Which pixels hold an invalid value in some of many spectra: all values are looked at, so memory is what it costs.

numpy goes over them three times. Machine code does it once, and is worth its 0.3 s to compile where spectra are read
epoch after epoch (`compile_search`).
Shape suffixes: P spectra, L pixels.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.train.compiled_program import CompiledOnce

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program, Value

_ROWS_TOGETHER = 4
"""Spectra whose marks are joined before they are stored."""
_SIGN, _NO_SIGN, _TO_SIGN = 0x80000000, 0x7FFFFFFF, 0x00800000
"""Of a float's bits: what is not finite, and nothing else, reaches the sign when the last of these is added."""


def suspect_pixels(values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pixels at which the error of some spectrum is not above 0, or any of its values is not finite.

    Args:
        values: By name, float32 (P, L), contiguous, "error" among them.

    Returns:
        bool (L,). False is certain; True may come of finite values whose sum is not.

    Raises:
        ValueError: Once compiled, for values in another order, format or shape.
    """
    return _marked(values) if _FUNCTIONS.ready else _reduced(values)


def compile_search() -> None:
    """Have machine code look in this process from now on."""
    _FUNCTIONS.get()


def _reduced(values: Mapping[str, np.ndarray]) -> np.ndarray:
    # What is not finite spreads through a sum, and NaN through a minimum.
    with np.errstate(over="ignore", invalid="ignore"):
        suspect_L: np.ndarray = ~(np.minimum.reduce(values["error"], axis=0) > 0)
        for array in values.values():
            suspect_L |= ~np.isfinite(np.add.reduce(array, axis=0))
    return suspect_L


def _marked(values: Mapping[str, np.ndarray]) -> np.ndarray:
    spectra, pixels = values["error"].shape
    for array in values.values():
        if array.shape != (spectra, pixels) or array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(f"contiguous float32 values ({spectra}, {pixels}) are needed")
    marks_L = np.zeros(pixels, np.uint32)
    addresses = {name: array.ctypes.data for name, array in values.items()}
    error, together = addresses.pop("error"), divmod(spectra, _ROWS_TOGETHER)
    for other in addresses.values() or [error]:
        _FUNCTIONS.get()["mark"](other, error, *together, pixels, marks_L.ctypes.data)
    return marks_L >= _SIGN


def _written() -> "Program":
    from spectral_search.train.machine_code import I32_P, I64, Program

    program = Program()
    with program.function("mark", I32_P, I32_P, I64, I64, I64, I32_P) as (other, error, groups, rest, pixels, marks):

        def mark(first: "Value", spectra: int) -> None:
            others, errors = other.at(first * pixels), error.at(first * pixels)
            with program.loop(pixels) as j:
                found = marks[j]
                for s in range(spectra):
                    found = found | _error_mark(errors[pixels * s + j]) | _finite_mark(others[pixels * s + j])
                marks[j] = found

        with program.loop(groups) as group:
            mark(group * _ROWS_TOGETHER, _ROWS_TOGETHER)
        with program.loop(rest) as s:
            mark(groups * _ROWS_TOGETHER + s, 1)
    return program


def _error_mark(bits: "Value") -> "Value":
    """The sign is set unless the float is finite and above 0: 1 less has it below 0 and of 0, but not of -0."""
    return (bits - 1) | (bits + _TO_SIGN)


def _finite_mark(bits: "Value") -> "Value":
    """The sign is set unless the float is finite."""
    return (bits & _NO_SIGN) + _TO_SIGN


_FUNCTIONS = CompiledOnce(_written)
