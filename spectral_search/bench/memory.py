"""Resident memory of this process and of all that it has started, watched while something runs."""

import threading
from types import TracebackType
from typing import Self

import psutil

PERIOD_SECONDS = 0.1


class MemoryWatch:
    """Context manager; afterwards `peak_bytes` is the largest sum that was seen."""

    def __init__(self) -> None:
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
        self.peak_bytes = max(self.peak_bytes, tree_bytes())

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, tree_bytes())
            if self._over.wait(PERIOD_SECONDS):
                return


def tree_bytes() -> int:
    """Resident bytes of this process and its descendants; a page that n processes share counts as 1/n in each (PSS)."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except (psutil.Error, OSError):  # it has just ended
            continue
    return total
