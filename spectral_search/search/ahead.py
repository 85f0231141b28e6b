"""A call in a thread, while this one waits for something else."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """A call that has begun. Unlike an executor's it holds up neither an error here nor the end of the process.

    Args:
        call: Run once, in a thread of its own.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        Thread(target=self._run, args=(call,), name="ahead", daemon=True).start()

    def result(self) -> T:
        """Wait for what the call returns.

        Raises:
            BaseException: What the call raised.
        """
        return self._future.result()

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._future.set_result(call())
        except BaseException as error:  # raised where the result is asked for
            self._future.set_exception(error)
