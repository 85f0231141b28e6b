"""numpy's products on one thread, while another thread of this process starts processes.

OpenBLAS, which numpy and scipy bring, ends its threads before the process forks. A product that another thread is in
the middle of then waits for them for ever, at full load. With one thread it has none to wait for. torch's products are
not concerned.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_NAMES = ("{}", "{}64_", "scipy_{}", "scipy_{}64_")
"""How builds of OpenBLAS spell a function."""


@contextmanager
def lone_blas() -> Iterator[None]:
    """Holds every OpenBLAS that is loaded by now to one thread; the number is one for the whole process."""
    before = [(set_threads, get_threads()) for get_threads, set_threads in _thread_numbers()]
    for set_threads, _ in before:
        set_threads(1)
    try:
        yield
    finally:
        for set_threads, number in before:
            set_threads(number)


def blas_threads() -> list[int]:
    """Threads of every OpenBLAS that is loaded by now."""
    return [get_threads() for get_threads, _ in _thread_numbers()]


def _thread_numbers() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """What gets and sets the number of threads of each OpenBLAS that is loaded."""
    loaded = {line.split()[-1] for line in _MAPS.read_text().splitlines() if "openblas" in line.lower()}
    found: list[tuple[Callable[[], int], Callable[[int], None]]] = []
    for path in sorted(path for path in loaded if Path(path).is_file()):
        library = ctypes.CDLL(path)
        get_threads, set_threads = (_function(library, f"openblas_{verb}_num_threads") for verb in ("get", "set"))
        if get_threads is not None and set_threads is not None:
            set_threads.argtypes, set_threads.restype = [ctypes.c_int], None
            found.append((get_threads, set_threads))
    return found


def _function(library: ctypes.CDLL, name: str) -> "ctypes._FuncPointer | None":
    spelt = (getattr(library, spelling.format(name), None) for spelling in _NAMES)
    return next((function for function in spelt if function is not None), None)
