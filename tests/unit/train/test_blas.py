"""Products by whichever library are products."""

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from spectral_search.train import blas
from spectral_search.train.step_kernels import RECORD_WORDS, address, float_word, run


@pytest.fixture(params=[True, False], ids=["intel", "other"])
def sgemm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(blas, "cpu_is_intel", lambda: request.param)
    for found in (blas.sgemm_address, blas._by_torch):
        found.cache_clear()
    if request.param and not blas._by_torch():
        pytest.skip("this torch brings no MKL")
    yield blas.sgemm_address()
    for found in (blas.sgemm_address, blas._by_torch):
        found.cache_clear()


def test_each_cpu_has_its_library(sgemm: int, request: pytest.FixtureRequest) -> None:
    assert (sgemm == blas._by_scipy()) is ("other" in request.node.name)


def test_openblas_multiplies_in_the_thread_that_asks(sgemm: int, request: pytest.FixtureRequest) -> None:
    before = [library["num_threads"] for library in openblas()]
    with blas.one_thread():
        if "other" in request.node.name:
            assert [library["num_threads"] for library in openblas()] == [1] * len(before)
    assert [library["num_threads"] for library in openblas()] == before


@pytest.mark.parametrize("sgemm", [False], ids=["other"], indirect=True)
def test_threads_that_multiply_at_once_leave_openblas_as_it_was(sgemm: int) -> None:
    before, may_leave, seen = openblas(), Event(), []

    def other() -> None:
        with blas.one_thread():
            may_leave.wait()
            seen.extend(openblas())

    beside = Thread(target=other)
    with blas.one_thread():
        beside.start()
        beside.join(0.2)  # it gets as far as it can
    may_leave.set()
    beside.join()
    assert {library["num_threads"] for library in seen} == {1}
    assert openblas() == before


def openblas() -> list[dict[str, Any]]:
    return [library for library in threadpool_info() if library["internal_api"] == "openblas"]


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("turned", ["", "a", "b", "ab"])
def test_a_product_of_matrices_by_rows(sgemm: int, turned: str, adds: bool) -> None:
    rng = np.random.default_rng(0)
    a_MK, b_KN, c_MN = (rng.normal(size=size).astype(np.float32) for size in ((5, 9), (9, 3), (5, 3)))
    expected_MN = a_MK.astype(np.float64) @ b_KN + (c_MN if adds else 0.0)
    a, b = (np.ascontiguousarray(x.T) if name in turned else x for name, x in (("a", a_MK), ("b", b_KN)))
    turns = [ord("T" if name in turned else "N") for name in "ab"]
    arguments = sgemm, *turns, 5, 3, 9, a.ctypes.data, a.shape[1], b.ctypes.data, b.shape[1]
    record = [address("product"), *arguments, float_word(float(adds)), c_MN.ctypes.data, 3]
    run(np.array([record + [0] * (RECORD_WORDS - len(record))], np.int64))
    np.testing.assert_allclose(c_MN, expected_MN, rtol=1e-5, atol=1e-5)
