"""numpy's products beside a thread that forks: held to one thread they come to an end."""

import os
import subprocess
import sys

import numpy as np
import pytest
from command_line import paths
from threadpoolctl import threadpool_info

from spectral_search.run.lone_blas import lone_blas

SECONDS = 60
PROGRAM = """
import subprocess
from threading import Event
import numpy as np
from spectral_search.run.background_call import Ahead
from threadpoolctl import threadpool_info
from spectral_search.run.lone_blas import lone_blas

def products(abandoned):
    with lone_blas():
        for _ in range(60):
            np.linalg.svd(np.random.default_rng(0).standard_normal((96, 384)), full_matrices=False)
    return [library["num_threads"] for library in threadpool_info() if library["internal_api"] == "openblas"]

begun = Ahead(products).begin()
while not begun._future.done():
    subprocess.run(["true"], preexec_fn=lambda: None)  # forks, as Ray's start does
assert max(begun.result()) > 1
"""


def blas_threads() -> list[int]:
    """Of every OpenBLAS that is loaded by now."""
    return [library["num_threads"] for library in threadpool_info() if library["internal_api"] == "openblas"]


def test_every_blas_is_held_and_let_go() -> None:
    np.ones((2, 2)) @ np.ones((2, 2))
    before = blas_threads()
    assert before
    with lone_blas():
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="OpenBLAS has one thread")
def test_products_beside_a_thread_that_forks_come_to_an_end() -> None:
    environment = {**paths(), "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, timeout=SECONDS, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
