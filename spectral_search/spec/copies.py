"""How many copies of each finalist the re-test trains with other seeds, and for how long, within a budget.

Copies train as members of one pass over the data. Its cost is counted in epochs of a member: each member costs one, and
reading, drawing the noise and judging on val cost one more for all of them.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Copies(NamedTuple):
    """Copies of one finalist, and the epochs that each is trained for."""

    times: int
    epochs: int


def share_budget(best_epochs: Sequence[int], count: int, budget: float) -> list[Copies]:
    """Give the winner its copies, and the other finalists theirs while the budget lasts.

    Copies are trained for as many epochs as their original took to its best one. Where the budget does not hold that,
    the winner's are stopped earlier, and compared with it as it was by then: how much the seed matters is told all
    the same.

    Args:
        best_epochs: The best epoch of each finalist, the winner's first.
        count: Copies of a finalist at most.
        budget: In epochs of a member.
    """
    shared, spent, passes = [Copies(0, 0) for _ in best_epochs], 0, 0
    for place, epochs in enumerate(best_epochs):
        left = budget - spent
        fitting = sum(max(passes, epochs) - passes + copies * epochs <= left for copies in range(1, count + 1))
        if place == 0 and fitting < count:
            return [_shortened(epochs, count, budget), *shared[1:]]
        if fitting:
            shared[place] = Copies(fitting, epochs)
            spent += max(passes, epochs) - passes + fitting * epochs
            passes = max(passes, epochs)
    return shared


def _shortened(epochs: int, count: int, budget: float) -> Copies:
    """As many copies as can be trained for an epoch at least, for as long as the budget lasts."""
    for copies in range(count, 0, -1):
        # One more than there are copies, for the pass itself.
        most = min(epochs, int(budget / (1 + copies)))
        if most >= 1:
            return Copies(copies, most)
    return Copies(0, 0)
