"""Promotion at rungs (asynchronous successive halving as published) as a function of what the study holds.

Li et al. 2020 (arXiv:1810.05934). Every trial waits at a rung with its checkpoint. Whenever a place is free, a waiting
trial that is by now among the best 1 in `factor` of all that have reached its rung goes on, the highest rung first;
else a new trial begins. So nothing is decided too early, since who was passed over may still go on, and nothing waits
for the last trial. Once no new trial is to come, at least the finalists go on, as in `halving`, and the others end.
"""

import math
from collections.abc import Collection, Mapping


def leaders(best: Mapping[int, float], factor: int) -> list[int]:
    """The trials that may go on from a rung by now, best first.

    Args:
        best: Trial number -> its best val R2 up to the rung, of all trials that have reached it so far.
        factor: One in this many goes on; none before there are as many.
    """
    best_first = sorted(sorted(best), key=lambda number: _rank(best[number]))
    return [number for number in best_first[: len(best) // factor] if math.isfinite(best[number])]


def promoted(best: Mapping[int, float], waiting: Collection[int], factor: int) -> int | None:
    """The best of the trials that wait at a rung and may go on from it by now; None when there is none."""
    return next((number for number in leaders(best, factor) if number in waiting), None)


def _rank(value: float) -> float:
    return -value if math.isfinite(value) else math.inf
