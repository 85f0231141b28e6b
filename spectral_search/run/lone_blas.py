"""numpy's products on one thread, while another thread of this process starts processes.

OpenBLAS, which numpy and scipy bring, ends its threads before the process forks. A product that another thread is in
the middle of then waits for them for ever, at full load. With one thread it has none to wait for. torch's products are
not concerned.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def lone_blas() -> Iterator[None]:
    """Holds every OpenBLAS that is loaded by now to one thread; the number is one for the whole process."""
    with ThreadpoolController().select(internal_api="openblas").limit(limits=1):
        yield
