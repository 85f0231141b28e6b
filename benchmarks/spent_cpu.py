"""CPU time of a process and of all that it starts, by looking at them several times a second while they run.

What a process spends after the last look at it is missing, so the sum is a little short; a machine that others use as
well changes it far less than the time on the clock.
"""

import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

import psutil

_PERIOD_SECONDS = 0.25


class CpuWatch:
    """Context manager; afterwards `seconds` is what they spent together.

    Args:
        process: The number of the process.
    """

    def __init__(self, process: int) -> None:
        self._process = psutil.Process(process)
        self._spent: dict[tuple[int, float], float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def seconds(self) -> float:
        """User and system time until the last look."""
        return sum(self._spent.values())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self._look()
            if self._over.wait(_PERIOD_SECONDS):
                return

    def _look(self) -> None:
        processes = [self._process]
        with suppress(psutil.Error):
            processes += self._process.children(recursive=True)
        for process in processes:
            with suppress(psutil.Error):  # it has just ended
                times = process.cpu_times()
                self._spent[process.pid, process.create_time()] = times.user + times.system
