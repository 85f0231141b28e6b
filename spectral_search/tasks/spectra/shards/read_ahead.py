"""Blocks read by a thread while those before them are in use."""

from collections.abc import Generator
from contextlib import closing
from threading import Condition, Thread
from typing import Generic, Protocol, TypeVar


class _Held(Protocol):
    @property
    def nbytes(self) -> int: ...


Held = TypeVar("Held", bound=_Held)


def read_ahead(blocks: Generator[Held], limit_bytes: int) -> Generator[Held]:
    """Passes blocks on, reading on in a thread until so many bytes wait, and one block more.

    Closed early, it waits for the block that is being read and closes `blocks`.

    Args:
        blocks: Run by the thread alone.
        limit_bytes: What may wait.
    """
    queue: _Queue[Held] = _Queue(limit_bytes)
    thread = Thread(target=_work, args=(blocks, queue), name="read-ahead", daemon=True)
    thread.start()
    try:
        while (block := queue.take()) is not None:
            yield block
            del block
    finally:
        # Before the thread is waited for: it may itself be waiting for room.
        queue.close()
        thread.join()


def _work(blocks: Generator[Held], queue: "_Queue[Held]") -> None:
    error: BaseException | None = None
    try:
        with closing(blocks):
            while queue.has_room() and (block := next(blocks, None)) is not None:
                queue.put(block)
                del block
    except BaseException as fault:  # raised where the blocks are used
        error = fault
    queue.end(error)


class _Queue(Generic[Held]):
    """Blocks between two threads, bounded by their bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._blocks: list[Held] = []
        self._limit_bytes = limit_bytes
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._changed = Condition()

    def has_room(self) -> bool:
        """Waits until there is; False when nobody wants more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._held_bytes < self._limit_bytes)
            return not self._closed

    def put(self, block: Held) -> None:
        with self._changed:
            self._blocks.append(block)
            self._changed.notify_all()

    def end(self, error: BaseException | None) -> None:
        """No more will come; `error` is why, unless all have."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def take(self) -> Held | None:
        """Waits for the next block; None when all have come.

        Raises:
            BaseException: What ended the reading.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._blocks or self._ended)
            if self._blocks:
                self._changed.notify_all()
                return self._blocks.pop(0)
            if self._error is not None:
                raise self._error
            return None

    def close(self) -> None:
        """Nobody wants more."""
        with self._changed:
            self._closed, self._blocks = True, []
            self._changed.notify_all()

    @property
    def _held_bytes(self) -> int:
        return sum(block.nbytes for block in self._blocks)
