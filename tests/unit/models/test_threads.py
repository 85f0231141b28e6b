"""Pieces that are made while others are worked on, and work that fails."""

import signal
from collections.abc import Callable, Iterable, Iterator
from threading import Event, main_thread

import pytest
import torch

from spectral_search.models.threads import for_each


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_are_asked_for_one_at_a_time(threads: int) -> None:
    torch.set_num_threads(threads)
    made, done = [0], [0]

    def pieces() -> Iterator[int]:
        for piece in range(200):
            assert made[0] - done[0] <= threads  # also fails where two threads run the generator at once
            made[0] += 1
            yield piece

    seen: list[int] = []

    def work(piece: int) -> None:
        seen.append(piece)
        done[0] += 1

    for_each(work, pieces())
    assert sorted(seen) == list(range(200))


@pytest.mark.parametrize("given", [iter, list])
def test_little_is_begun_once_a_piece_has_failed(given: Callable[[range], Iterable[int]]) -> None:
    torch.set_num_threads(2)
    begun = []

    def work(piece: int) -> None:
        begun.append(piece)
        if piece == 0:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        for_each(work, given(range(300_000)))
    assert len(begun) < 300_000


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard, which it is not where tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_an_interrupt_is_heard_when_no_thread_runs_the_generator_any_more() -> None:
    torch.set_num_threads(2)

    def pieces() -> Iterator[int]:
        for piece in range(100):
            yield piece
            Event().wait(0.05)

    def work(piece: int) -> None:
        if piece == 3:
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)

    given = pieces()
    with pytest.raises(KeyboardInterrupt):
        for_each(work, given)
    given.close()  # ValueError while it runs


@pytest.mark.usefixtures("heard")
def test_after_an_interrupt_no_thread_writes_any_more() -> None:
    torch.set_num_threads(2)
    done: list[int] = []

    def work(piece: int) -> None:
        if piece == 3:
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
        Event().wait(0.02)
        done.append(piece)

    with pytest.raises(KeyboardInterrupt):
        for_each(work, list(range(100)))
    count = len(done)
    Event().wait(0.1)
    assert count == len(done) < 100
