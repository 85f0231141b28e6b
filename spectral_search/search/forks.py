"""Numpy's products while other code of this process forks.

OpenBLAS ends its threads whenever the process forks, also beneath a product that another thread has begun: that
product then waits for them for ever, at the full speed of a core. Ray forks for each of its own processes.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

PREFIXES, SUFFIXES = ("scipy_openblas", "openblas"), ("64_", "_64", "")
"""Of the names that OpenBLAS goes by: in numpy's own wheels, and as a library of the system."""


@contextmanager
def products_survive_forks() -> Iterator[None]:
    """Let numpy multiply in the calling thread alone, for a while, so that there are no others to end."""
    library = _openblas()
    if library is None:  # MKL and Accelerate do no such thing
        yield
        return
    number, set_number = library
    before = number()
    set_number(1)
    try:
        yield
    finally:
        set_number(before)


@cache
def _openblas() -> tuple[Any, Any] | None:
    """The functions that tell and set the number of threads of numpy's OpenBLAS; None where it has another library."""
    # A name is looked up in a library and in all that it is linked with.
    numpys = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    for prefix in PREFIXES:
        for suffix in SUFFIXES:
            number, set_number = (
                getattr(numpys, f"{prefix}_{verb}_num_threads{suffix}", None) for verb in ("get", "set")
            )
            if number is not None and set_number is not None:
                return number, set_number
    return None
