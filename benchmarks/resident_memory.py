"""Resident memory of a process and of all that it has started, watched while something runs."""

from collections.abc import Sequence
from contextlib import suppress

import psutil

from benchmarks.process_watch import ProcessWatch

_PERIOD_SECONDS = 0.1


class MemoryWatch(ProcessWatch):
    """Context manager; afterwards `peak_bytes` is the largest sum that was seen.

    Args:
        process: The number of the process; this one when absent.
    """

    def __init__(self, process: int | None = None) -> None:
        super().__init__(process, _PERIOD_SECONDS)
        self.peak_bytes = 0

    def look(self, processes: Sequence[psutil.Process]) -> None:
        self.peak_bytes = max(self.peak_bytes, resident_bytes(processes))


def resident_bytes(processes: Sequence[psutil.Process]) -> int:
    """Resident bytes of processes; a page that n processes share counts as 1/n in each (PSS)."""
    total = 0
    for process in processes:
        with suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
    return total
