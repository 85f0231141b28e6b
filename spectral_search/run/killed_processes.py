"""What can be told of a process that died without a word: whether the kernel killed it, and what it needed."""

from contextlib import suppress
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.spec.run import TrialConfig
from spectral_search.train.capacity import footprint
from spectral_search.train.memory_wording import needs

_VMSTAT = Path("/proc/vmstat")
KILLED = "it was killed (signal 9): most likely by the kernel for want of memory, unless somebody else did it"


def kernel_kills(vmstat: Path = _VMSTAT) -> int | None:
    """Processes that the kernel of this machine has killed for want of memory; None where it does not count them."""
    with suppress(OSError, ValueError):
        for line in vmstat.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


class Watch:
    """Remembers how many processes the kernel had killed, to tell later whether it killed more.

    Args:
        here: Whether trials train on this machine; of others nothing is known.
        vmstat: Where the kernel counts.
    """

    def __init__(self, *, here: bool = True, vmstat: Path = _VMSTAT) -> None:
        self._here, self._vmstat = here, vmstat
        self._before = kernel_kills(vmstat)

    def verdict(self) -> str:
        """Why a process died, as far as can be known."""
        now = kernel_kills(self._vmstat) if self._here else None
        if now is None or self._before is None:
            return KILLED
        # The count is the whole machine's, so it does not tell which processes they were.
        if killed := now - self._before:
            processes = "a process" if killed == 1 else f"{killed} processes"
            return f"the kernel has killed {processes} for want of memory (signal 9) since the search began"
        return "the kernel counts no process killed for want of memory since: it crashed, or somebody killed it"


def need_told(config: TrialConfig, values: int, examples: int, *, gpu: bool) -> str:
    """What a trial needs, for a sentence about its death."""
    try:
        return needs(config, footprint(config, values, examples=examples, gpu=gpu))
    except RequestError:  # it died of something else
        return ""
