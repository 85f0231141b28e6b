"""A look at a process and at all that it has started, several times a second while something runs."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil


class ProcessWatch:
    """Context manager that calls `look` in a thread of its own, and once more at the end.

    Args:
        process: The number of the process; this one when absent.
        period_seconds: Between two looks.
    """

    def __init__(self, process: int | None, period_seconds: float) -> None:
        self._root, self._period_seconds = psutil.Process(process), period_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def look(self, processes: Sequence[psutil.Process]) -> None:
        """Take note of the processes that there are; any may have ended since they were listed."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.look(_tree_of(self._root))

    def _watch(self) -> None:
        while not self._over.is_set():
            self.look(_tree_of(self._root))
            self._over.wait(self._period_seconds)


def _tree_of(root: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants; none where it has just ended."""
    with suppress(psutil.Error):
        return [root, *root.children(recursive=True)]
    return []
