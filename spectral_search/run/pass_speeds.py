"""How fast the devices of a search's passes are beside each other, as their epochs tell."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

_NEW = 0.3
"""Weight of the last epoch in what a pass takes with so many members."""


class PassSpeeds:
    """What each pass took for an epoch, by how many members it had.

    Only epochs of as many members are compared: a pass of many takes less for each of them, on whatever device.

    Args:
        passes: How many there are.
    """

    def __init__(self, passes: int) -> None:
        self._seconds: list[dict[int, float]] = [defaultdict(float) for _ in range(passes)]

    def record(self, place: int, members: int, seconds: float) -> None:
        """An epoch of one pass.

        Args:
            place: Which.
            members: Trials that trained in it.
            seconds: What it took.
        """
        before = self._seconds[place].get(members, seconds)
        self._seconds[place][members] = before + _NEW * (seconds - before)

    def speeds(self) -> list[float]:
        """Each pass beside the fastest of those it can be compared with: 0.5 is half as fast, 1 also the unknown."""
        return [self._speed(known) for known in self._seconds]

    def _speed(self, known: dict[int, float]) -> float:
        ratios = []
        for members, seconds in known.items():
            least = min(other[members] for other in self._seconds if members in other)
            ratios.append(least / seconds if seconds > 0 else 1.0)
        return median(ratios) if ratios else 1.0


def next_place(counts: Sequence[int], speeds: Sequence[float]) -> int:
    """Where one more trial waits least for the others: the emptiest pass where all are as fast.

    Args:
        counts: Trials of each pass.
        speeds: Of each, beside each other.
    """
    return min(range(len(counts)), key=lambda place: ((counts[place] + 1) / speeds[place], place))
