"""Promotion at rungs: asynchronous successive halving as published.

Li et al. 2020 (arXiv:1810.05934). Every trial waits at a rung with its checkpoint. Whenever a place is free, a waiting
trial that is by now among the best 1 in `reduction` of all that have reached its rung goes on, the highest rung first;
else a new trial begins. So nothing is decided too early, since who was passed over may still go on, and nothing waits
for the last trial. Once no new trial is to come, at least the finalists go on, as in `halving`, and the others end.
"""

import math
from collections.abc import Collection, Mapping

from spectral_search.strategy.halving_rule import Halving
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.rule import FIRST_RUNG_PART, Decision

_SCREEN_PART, _SCREEN_REDUCTION = 5, 2
"""Another rung comes before the first one, at one in this many of its epochs: half of the trials pass that."""


class Promotion(Halving):
    """Lets whoever leads by now go on at once."""

    def rungs(self, epochs: int) -> list[int]:
        screen = self._screen(epochs)
        return [*([] if screen is None else [screen]), *super().rungs(epochs)]

    def reduction_at(self, rung: int) -> int:
        return _SCREEN_REDUCTION if rung == self._screen(self.epochs) else self.reduction

    def decide(self, history: History, trial: Trial) -> Decision:
        rung = len(trial.values)
        all_go_on = history.planned <= self.survivors_of(history.planned, rung)
        leads = trial.number in leaders(history.reached(rung, self.metric), self.reduction_at(rung))
        return "go_on" if all_go_on or leads else "wait"

    def release(self, history: History) -> Mapping[int, Decision]:
        for rung in sorted({trial.held for trial in history.waiting()}, reverse=True):
            waiting = [trial.number for trial in history.waiting(rung)]
            number = promoted(history.reached(rung, self.metric), waiting, self.reduction_at(rung))
            if number is not None:
                # One at a time, as for one free place: by the next there may be other leaders.
                return {number: "go_on"}
        return super().release(history)

    def may_come(self, trial: Trial, rung: int) -> bool:
        return trial.trains and trial.passed < rung

    def most_epochs(self, trials: int, epochs: int) -> int:
        # Where each trial is better than all before it, each leads as it comes to a rung, and goes on.
        return trials * epochs

    def told(self, trials: int, epochs: int) -> str | None:
        told = super().told(trials, epochs)
        return told and f"{told}, whoever leads by now at once"

    def _screen(self, epochs: int) -> int | None:
        """A rung before the first one, where only the worse half is left behind; none where `min_epochs` is given."""
        first = math.ceil(epochs / FIRST_RUNG_PART)
        screen = math.ceil(first / _SCREEN_PART)
        chosen = self.search.min_epochs is None and self.reduction > _SCREEN_REDUCTION
        return screen if chosen and screen < first else None


def leaders(gains: Mapping[int, float], reduction: int) -> list[int]:
    """The trials that may go on from a rung by now, best first.

    Args:
        gains: Trial number -> its best value up to the rung, more being better, of all that have reached it so far.
        reduction: One in this many goes on; none before there are as many.
    """
    best_first = sorted(sorted(gains), key=lambda number: _rank(gains[number]))
    return [number for number in best_first[: len(gains) // reduction] if math.isfinite(gains[number])]


def promoted(gains: Mapping[int, float], waiting: Collection[int], reduction: int) -> int | None:
    """The best of the trials that wait at a rung and may go on from it by now; None when there is none."""
    return next((number for number in leaders(gains, reduction) if number in waiting), None)


def _rank(gain: float) -> float:
    return -gain if math.isfinite(gain) else math.inf


RULE = Promotion
