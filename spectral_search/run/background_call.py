"""A call in a thread, while this one waits for something else."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Event, Thread
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """A call in a thread of its own. As a context manager it is over when its block is left.

    Its thread is no daemon: one that calls torch while Python ends would abort the process.

    Args:
        call: Run once; it is given an event, set when nobody wants its result any more.
    """

    def __init__(self, call: Callable[[Event], T]) -> None:
        self._call, self._abandoned = call, Event()
        self._future: Future[T] = Future()
        self._thread: Thread | None = None

    def begin(self) -> Self:
        """Start the call."""
        self._thread = Thread(target=self._run, name="ahead")
        self._thread.start()
        return self

    def result(self) -> T:
        """Wait for what the call that has begun returns.

        Raises:
            BaseException: What the call raised.
        """
        return self._future.result()

    def abandon(self) -> None:
        """Ask the call to end, and wait until it has; what it returned or raised is not told."""
        self._abandoned.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abandon()

    def _run(self) -> None:
        try:
            self._future.set_result(self._call(self._abandoned))
        except BaseException as error:  # raised where the result is asked for
            self._future.set_exception(error)
