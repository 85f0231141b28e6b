"""Where machine code finds the product of matrices that a library brings: BLAS's sgemm, by its address."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import RLock

import torch
from threadpoolctl import ThreadpoolController

from spectral_search.train.cpu_formats import cpu_is_intel

_LIMITING = RLock()


@cache
def sgemm_address() -> int:
    """The address of sgemm, with Fortran's arguments: pointers, integers of 32 bits.

    MKL's on Intel's processors, where torch brings it and it is a fifth faster than OpenBLAS; else that of scipy, which
    hands its own out to such as this (`scipy.linalg.cython_blas`), mostly OpenBLAS.
    """
    return _by_torch() or _by_scipy()


@contextmanager
def one_thread() -> Iterator[None]:
    """While a product is the work of the thread that asks for it.

    OpenBLAS has one number of threads for the whole process, and threads that want it wait for each other. MKL takes
    the number that torch has told it for a thread.
    """
    if _by_torch():
        yield
        return
    # Of limits that overlap, the first to end would lift the other's, which would then put back a limit as what was.
    with _LIMITING, _openblas().limit(limits=1):
        yield


@cache
def _openblas() -> ThreadpoolController:
    sgemm_address()  # the library must be there to be found
    return ThreadpoolController().select(internal_api="openblas")


@cache
def _by_torch() -> int:
    if not cpu_is_intel():
        return 0
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        return ctypes.cast(ctypes.CDLL(str(library)).sgemm_, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0


def _by_scipy() -> int:
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__["sgemm"]
    name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
    types = ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p
    address: int = ctypes.PYFUNCTYPE(*types)(("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, name_of(capsule))
    return address
