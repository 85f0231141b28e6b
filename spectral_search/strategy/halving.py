"""Successive halving in step: all trials come to a rung, then the best 1 in reduction_factor go on together.

Jamieson & Talwalkar 2016 (arXiv:1502.07943). Unlike ASHA, nothing is decided before all trials are there: a trial waits
at its rung with its checkpoint, and its place in the pass goes to the next one. With the defaults there is one rung, at
a tenth of the epochs, and a tenth of the trials goes on: on recorded curves of a real grid that finds the best where
ASHA's stops, made on few noisy values, lose it (docs/benchmarks.md).
"""

import math
from collections.abc import Mapping

from spectral_search.spec.search import SearchSpec


def survivors(best: Mapping[int, float], search: SearchSpec, factor: int | None = None) -> frozenset[int]:
    """The trials that go on from a rung.

    Args:
        best: Trial number -> its best val R2 up to the rung, of all trials that reached it.
        search: How many go on; the earlier trial where two are equal, none whose value is not finite.
        factor: One in this many goes on, the search's own when absent.
    """
    finite = [number for number in sorted(best) if math.isfinite(best[number])]
    best_first = sorted(finite, key=best.__getitem__, reverse=True)
    return frozenset(best_first[: search.survivors_of(len(best), factor)])
