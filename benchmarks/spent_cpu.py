"""CPU time of a process and of all that it starts, by looking at them several times a second while they run.

What a process spends after the last look at it is missing, so the sum is a little short; a machine that others use as
well changes it far less than the time on the clock.
"""

from collections.abc import Sequence
from contextlib import suppress

import psutil

from benchmarks.process_watch import ProcessWatch

_PERIOD_SECONDS = 0.25


class CpuWatch(ProcessWatch):
    """Context manager; afterwards `seconds` is what they spent together.

    Args:
        process: The number of the process.
    """

    def __init__(self, process: int) -> None:
        super().__init__(process, _PERIOD_SECONDS)
        self._spent: dict[tuple[int, float], float] = {}

    @property
    def seconds(self) -> float:
        """User and system time until the last look."""
        return sum(self._spent.values())

    def look(self, processes: Sequence[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.Error):  # it has just ended
                times = process.cpu_times()
                self._spent[process.pid, process.create_time()] = times.user + times.system
