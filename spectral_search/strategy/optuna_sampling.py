"""What the proposers share that ask a sampler of Optuna, which they import when they are made: a plan makes none."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.proposer import Proposer
from spectral_search.strategy.space_points import Params
from spectral_search.strategy.untried_points import UntriedPoints
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

_ATTEMPTS = 10
"""Proposals asked of the sampler before a repeated or impossible one is replaced by a random one."""


class SamplerProposer(Proposer):
    """A sampler's proposal that no earlier trial has tried."""

    def __init__(self, spec: RunSpec, metric: Metric) -> None:
        from spectral_search.strategy.shadow_study import ShadowStudy

        super().__init__(spec, metric)
        self.shadow, self._untried = ShadowStudy(spec), UntriedPoints(spec)
        # Telling a trial costs more than most proposals; one that has not changed is told as before.
        self._told: dict[int, tuple[Trial, FrozenTrial]] = {}

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """The sampler, freshly seeded."""

    def told(self, history: History) -> list[FrozenTrial]:
        """The trials as the sampler must see them."""
        return [self._remembered(trial) for trial in history.trials]

    def tell(self, trial: Trial) -> FrozenTrial:
        """A trial as the sampler must see it."""
        from spectral_search.strategy.shadow_study import STATES

        gains = [self.metric.gain(value) for value in trial.values]
        value = trial.gain(self.metric) if trial.state == "complete" else None
        return self.shadow.told(trial, STATES[trial.state], value, gains)

    def propose(self, history: History) -> Params | None:
        number, seed = len(history.trials), self.spec.search.seed
        told = self.told(history)
        for attempt in range(_ATTEMPTS):
            # A fresh sampler repeats itself unless the attempt is in its seed, of which NumPy takes 32 bits.
            sampler = self.sampler(counter_seed(seed, "proposal", number, attempt) % 2**32)
            if self._untried.holds(params := self.shadow.ask(sampler, told), history):
                return params
        return self._untried.one(history, counter_seed(seed, "untried", number))

    def _remembered(self, trial: Trial) -> FrozenTrial:
        known = self._told.get(trial.number)
        if known is None or known[0] is not trial:
            known = self._told[trial.number] = trial, self.tell(trial)
        return known[1]
