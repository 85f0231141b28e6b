"""Asynchronous successive halving (ASHA) as a function of what the study holds and of nothing else.

A trial that reaches a rung, an epoch of min_epochs x reduction_factor^k, goes on if it is among the best 1 in
reduction_factor of all that have reported that epoch so far, and is stopped for good if not. So the first trial passes
every rung, and until 2 x reduction_factor trials have reached a rung only the best so far does. The rule is that of
Optuna's SuccessiveHalvingPruner; Li et al. 2020 (arXiv:1810.05934), from whom the name comes, pause trials and may
promote them later. Optuna's own keeps the rungs as attributes, written before the decision: a process killed in
between, or a trial that comes to its next epoch undecided, would leave a wrong value in a rung for ever. Here a rung is
the values of that epoch, so there is nothing to poison.
"""

import math
from collections.abc import Iterable

from spectral_search.spec.search import SearchSpec


def rung_epochs(search: SearchSpec, epochs: int) -> frozenset[int]:
    """Epochs after which a trial of so many epochs may be stopped; the last is none of them."""
    return frozenset(search.rungs(epochs))


def survives(value: float, reported: Iterable[float], reduction_factor: int) -> bool:
    """Whether a trial goes on from a rung.

    Args:
        value: Its val R2 there.
        reported: Those of all trials that have reached the rung so far, its own included.
        reduction_factor: One in this many goes on.
    """
    best_first = sorted(reported, reverse=True)
    return math.isfinite(value) and value >= best_first[max(1, len(best_first) // reduction_factor) - 1]
