"""Memory is lent again when the last view of it is gone, wherever that is, and not before."""

from threading import Thread

import numpy as np
import torch

from spectral_search.tasks.spectra.shards.buffers import Buffers


def address(values: np.ndarray) -> int:
    return int(values.ctypes.data)


def test_memory_comes_back_with_the_last_view_of_it() -> None:
    buffers = Buffers(rows=4, pixels=8, count=1)
    lent = buffers.lend(3)
    lent[:] = np.arange(24).reshape(3, 8)
    assert (lent.shape, lent.dtype, lent.flags.c_contiguous, lent.flags.writeable) == ((3, 8), np.float32, True, True)
    place = address(lent)
    kept = torch.from_numpy(lent[1:2].reshape(-1)[2:])
    del lent
    other = buffers.lend(4)
    assert address(other) != place
    before = kept.clone()
    other += 1.0
    assert torch.equal(kept, before)
    del kept
    assert address(buffers.lend(2)) == place


def test_a_small_array_does_not_take_a_large_ones_memory() -> None:
    """Windows are bounded by what they hold: many small blocks would keep as many large pieces of memory."""
    buffers = Buffers(rows=100, pixels=8, count=1)
    small = [buffers.lend(49) for _ in range(3)]
    assert {values.base is None for values in small} == {True}
    assert buffers.lend(50).base is not None


def test_what_another_thread_drops_comes_back() -> None:
    buffers = Buffers(rows=4, pixels=8, count=1)
    held = [buffers.lend(4)]
    place = address(held[0])
    thread = Thread(target=held.clear)
    thread.start()
    thread.join()
    assert address(buffers.lend(4)) == place


def test_lent_arrays_do_not_overlap() -> None:
    buffers = Buffers(rows=2, pixels=3, count=2)
    lent = [buffers.lend(2) for _ in range(5)]
    for number, values in enumerate(lent):
        values[:] = number
    assert [np.unique(values).tolist() for values in lent] == [[0], [1], [2], [3], [4]]


def test_memory_in_use_outlives_its_buffers() -> None:
    buffers = Buffers(rows=2, pixels=3, count=1)
    lent = buffers.lend(2)
    lent[:] = 5.0
    del buffers
    others = [np.zeros((2, 3), np.float32) for _ in range(50)]
    assert (lent == 5.0).all()
    assert len(others) == 50
