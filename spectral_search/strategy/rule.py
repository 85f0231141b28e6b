"""Rules: who is stopped at a rung, who waits there, and who goes on from it later.

A rule is an object of a module `NAME_rule.py` (see `spec.name_registry`). It decides by the history alone, so that a
process that died in the middle of its decisions is followed by one that decides the same.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from math import ceil
from typing import ClassVar, Literal

from spectral_search.spec.name_registry import RULES
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.history import History, Trial
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of

Decision = Literal["go_on", "stop", "wait"]
FIRST_RUNG_PART = 10
"""Without `search.min_epochs` the first rung is at one in this many epochs."""


class Rule(ABC):
    """Decides at rungs: epochs of a trial at which it is compared with others.

    Args:
        search: How many go on, and from which epoch on it is asked.
        epochs: Those of a trial, as far as trials do not vary them.
        metric: What is compared.
    """

    factor: ClassVar[int] = 3
    """One in this many survives a rung where `search.reduction_factor` says nothing."""
    waits: ClassVar[bool] = False
    """Whether trials may wait at a rung."""
    stops: ClassVar[bool] = True
    """Whether it stops any trial for another."""

    def __init__(self, search: SearchSpec, epochs: int, metric: Metric) -> None:
        self.search, self.epochs, self.metric = search, epochs, metric

    @abstractmethod
    def decide(self, history: History, trial: Trial) -> Decision:
        """What becomes of a trial that has come to a rung that it has not passed yet."""

    def release(self, history: History) -> Mapping[int, Decision]:
        """Which of the trials that wait go on or end by now, by number and in the order in which it is to be done.

        It is asked whenever a place is free: before a new trial begins and, once there is none, until nothing changes.
        """
        return {}

    @cached_property
    def reduction(self) -> int:
        """One in this many survives a rung."""
        return self.search.reduction_factor or self.factor

    def reduction_at(self, rung: int) -> int:
        """One in this many survives this rung."""
        return self.reduction

    def rungs(self, epochs: int) -> list[int]:
        """Epochs after which a trial of so many epochs may be stopped; the last is none of them."""
        rungs, epoch = [], self.search.min_epochs or ceil(epochs / FIRST_RUNG_PART)
        while epoch < epochs:
            rungs.append(epoch)
            epoch *= self.reduction
        return rungs

    def survivors_of(self, trials: int, rung: int | None = None) -> int:
        """The least of so many trials that go on from a rung, all having come to it; all where that is not known."""
        return trials

    def planned_epochs(self, trials: int, epochs: int) -> int:
        """Epochs that so many trials of so many epochs take about, where that is known beforehand; else the most."""
        total, done, left = 0, 0, trials
        for rung in self.rungs(epochs):
            total, done = total + left * (rung - done), rung
            left = self.survivors_of(left, rung)
        return total + left * (epochs - done)

    def most_epochs(self, trials: int, epochs: int) -> int:
        """The most epochs that so many trials of so many epochs can take."""
        return self.planned_epochs(trials, epochs)

    def told(self, trials: int, epochs: int) -> str | None:
        """What it will do to so many trials, for people; None where it stops none."""
        survivors, left = [], trials
        for rung in self.rungs(epochs):
            # Read from the left: how many there were against how many are left.
            if left > (left := self.survivors_of(left, rung)):
                survivors.append(f"after epoch {rung} the best {left}")
        return f"{', '.join(survivors)} go on" if survivors else None


def rule_of(spec: RunSpec, metric: Metric | None = None) -> Rule:
    """The rule of a search, by the objective of its task where no metric is given.

    Raises:
        RequestError: Nothing has the name that it gives.
    """
    made: Rule = RULES.find(spec.search.pruner)(spec.search, spec.fit.epochs, metric or task_of(spec.task).objective)
    return made
