"""Work in pieces, one thread a piece: which thread, and how many there are, then changes no number."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

Piece = TypeVar("Piece")


def for_each(work: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Do the work for every piece, on as many threads as torch has; within a piece, torch has one thread.

    Autograd does not look on.
    """
    threads = torch.get_num_threads()
    shared = iter(list(pieces))
    if threads == 1:
        with torch.no_grad():
            _work_through(work, shared)
        return
    for future in [_pool(threads).submit(_work_through, work, shared) for _ in range(threads)]:
        future.result()


def _work_through(work: Callable[[Piece], None], pieces: Iterator[Piece]) -> None:
    for piece in pieces:
        work(piece)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that are there, each with one thread for torch's operations."""
    all_started = Barrier(threads)
    pool = ThreadPoolExecutor(threads, "torch", initializer=_prepare_thread)
    for future in [pool.submit(all_started.wait) for _ in range(threads)]:
        future.result()
    # The number is each thread's own, but also what threads yet to come begin with.
    torch.set_num_threads(threads)
    return pool


def _prepare_thread() -> None:
    # Asked first, since a thread's first operation takes over the number of the process.
    torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
