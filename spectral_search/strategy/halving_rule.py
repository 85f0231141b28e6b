"""Successive halving in step: all trials come to a rung, then the best 1 in reduction_factor go on together.

Jamieson & Talwalkar 2016 (arXiv:1502.07943). Unlike ASHA, nothing is decided before all trials are there: a trial waits
at its rung with its checkpoint, and its place in the pass goes to the next one. With the defaults there is one rung, at
a tenth of the epochs, and a tenth of the trials goes on: on recorded curves of a real grid that finds the best where
ASHA's stops, made on few noisy values, lose it (docs/benchmarks.md).
"""

import math
from collections.abc import Mapping

from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.rule import Decision, Rule


class Halving(Rule):
    """Compares the best values up to a rung."""

    factor = 10
    waits = True

    def survivors_of(self, trials: int, rung: int | None = None) -> int:
        """As many as survive, all having come; all finalists are to be trained to their end."""
        reduction = self.reduction if rung is None else self.reduction_at(rung)
        return min(trials, max(self.search.finalists, math.ceil(trials / reduction)))

    def decide(self, history: History, trial: Trial) -> Decision:
        # Where all go on in the end, there is nothing to wait for.
        return "wait" if history.planned > self.survivors_of(history.planned) else "go_on"

    def release(self, history: History) -> Mapping[int, Decision]:
        """Judge the trials that wait at the lowest rung, all trials having come to it or ended before."""
        rung = min((trial.held for trial in history.waiting()), default=0)
        if history.more or not rung or any(self.may_come(trial, rung) for trial in history.trials):
            return {}
        reached = history.reached(rung, self.metric)
        go_on = survivors(reached, self.survivors_of(len(reached), rung))
        return {trial.number: "go_on" if trial.number in go_on else "stop" for trial in history.waiting(rung)}

    def may_come(self, trial: Trial, rung: int) -> bool:
        """Whether a trial is still on its way, so that nothing can be decided at a rung."""
        return trial.trains


def survivors(gains: Mapping[int, float], count: int) -> frozenset[int]:
    """The trials that go on from a rung.

    Args:
        gains: Trial number -> its best value up to the rung, more being better, of all trials that reached it.
        count: How many go on; the earlier trial where two are equal, none whose value is not finite.
    """
    finite = [number for number in sorted(gains) if math.isfinite(gains[number])]
    # Python's sort keeps the order of equals in reverse too, so that the lower number stays ahead.
    return frozenset(sorted(finite, key=gains.__getitem__, reverse=True)[:count])


RULE = Halving
