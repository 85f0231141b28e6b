"""Asynchronous successive halving (ASHA): each trial is judged once at a rung, as it comes.

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

from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.rule import Decision, Rule


class Asha(Rule):
    """Compares the values of one epoch."""

    factor = 3

    def decide(self, history: History, trial: Trial) -> Decision:
        epoch = len(trial.values)
        # Whatever became of them since: those that were stopped here stay in the comparison.
        gains = [self.metric.gain(other.values[epoch - 1]) for other in history.trials if len(other.values) >= epoch]
        return "go_on" if survives(self.metric.gain(trial.values[-1]), gains, self.reduction) else "stop"

    def told(self, trials: int, epochs: int) -> str | None:
        rungs = self.rungs(epochs)
        return f"ASHA from epoch {rungs[0]}, one trial in {self.reduction} goes on at a rung" if rungs else None


def survives(gain: float, reported: Iterable[float], reduction: int) -> bool:
    """Whether a trial goes on from a rung.

    Args:
        gain: Its value there, more being better.
        reported: Those of all trials that have reached the rung so far, its own included.
        reduction: One in this many goes on.
    """
    # What is no number has no place in an order, and would leave the others in any.
    best_first = sorted((-math.inf if math.isnan(other) else other for other in reported), reverse=True)
    return math.isfinite(gain) and gain >= best_first[max(1, len(best_first) // reduction) - 1]


RULE = Asha
