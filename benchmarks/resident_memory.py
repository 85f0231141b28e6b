"""Resident memory of a process and of all that it has started, watched while something runs."""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

_PERIOD_SECONDS = 0.1


class MemoryWatch:
    """Context manager; afterwards `peak_bytes` is the largest sum that was seen.

    Args:
        process: The number of the process; this one when absent.
    """

    def __init__(self, process: int | None = None) -> None:
        self._process = psutil.Process(process)
        self.peak_bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.peak_bytes = max(self.peak_bytes, tree_bytes(self._process))

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._process))
            if self._over.wait(_PERIOD_SECONDS):
                return


def tree_bytes(root: psutil.Process) -> int:
    """Resident bytes of a process and its descendants; a page that n processes share counts as 1/n in each (PSS)."""
    total = 0
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:  # it has just ended, as each below may have
        return 0
    for process in processes:
        with suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
    return total
