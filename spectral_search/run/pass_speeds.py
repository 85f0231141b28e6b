"""How fast the devices of a search's passes are beside each other, as their epochs tell."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

_NEW = 0.3
"""Weight of the last epoch in what a pass takes with so many members."""
_KEPT = 0.99
"""What is left of an idle pass's known speed with each epoch of the others: half of its logarithm after 70."""


class PassSpeeds:
    """What each pass took for an epoch, by how many members it had.

    Only epochs of as many members are compared: a pass of many takes less for each of them, on whatever device.

    Args:
        passes: How many there are.
    """

    def __init__(self, passes: int) -> None:
        self._seconds: list[dict[int, float]] = [defaultdict(float) for _ in range(passes)]
        self._epochs_since = [0.0] * passes

    def record(self, place: int, members: int, seconds: float) -> None:
        """An epoch of one pass, as one of its members tells it: what it took counts once all of them have.

        Args:
            place: Which.
            members: Trials that trained in it.
            seconds: What it took.
        """
        before = self._seconds[place].get(members, seconds)
        # So that after all members the epoch has its weight, and not that of as many epochs.
        self._seconds[place][members] = seconds + (1.0 - _NEW) ** (1.0 / members) * (before - seconds)
        self._epochs_since = [since + 1.0 / members for since in self._epochs_since]
        self._epochs_since[place] = 0.0

    def speeds(self, counts: Sequence[int]) -> list[float]:
        """Each pass beside the fastest of those it can be compared with: 0.5 is half as fast, 1 also the unknown.

        What is known of a pass without trials is forgotten as the others go on. Otherwise one that something else had
        slowed down for a while would get none ever after, and never be measured again.

        Args:
            counts: Trials of each pass.
        """
        known = [self._speed(seconds) for seconds in self._seconds]
        idle = [1.0 if count else _KEPT**since for count, since in zip(counts, self._epochs_since, strict=True)]
        return [speed**kept for speed, kept in zip(known, idle, strict=True)]

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
