"""Work in pieces, one thread a piece: which thread, and how many there are, then changes no number."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier, Lock
from typing import Generic, TypeVar

import torch

Piece = TypeVar("Piece")


def for_each(work: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Do the work for every piece, on as many threads as torch has; within a piece, torch has one thread.

    Autograd does not look on. A piece is asked for when a thread has time for it, and none once the work on one has
    failed; when this is left, no thread is at work any more.
    """
    threads = torch.get_num_threads()
    shared = _InTurns(pieces)
    if threads == 1:
        with torch.no_grad():
            _work_through(work, shared)
        return
    futures = [_pool(threads).submit(_work_through, work, shared) for _ in range(threads)]
    try:
        wait(futures)  # also where one has failed: whoever hears of it may end what the others work on
    except BaseException:  # Ctrl-C, which the calling thread alone hears
        shared.end()
        wait(futures)
        raise
    for future in futures:
        future.result()


def _work_through(work: Callable[[Piece], None], pieces: "_InTurns[Piece]") -> None:
    for piece in pieces:
        try:
            work(piece)
        except BaseException:
            pieces.end()
            raise


class _InTurns(Generic[Piece]):
    """Pieces for whichever thread asks; a generator runs in one at a time."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces, self._lock, self._ended = iter(pieces), Lock(), False

    def __iter__(self) -> Iterator[Piece]:
        return self

    def __next__(self) -> Piece:
        with self._lock:
            if self._ended:
                raise StopIteration
            return next(self._pieces)

    def end(self) -> None:
        """No further piece is given: the work on one has failed."""
        self._ended = True


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
