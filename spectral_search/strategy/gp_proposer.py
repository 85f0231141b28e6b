"""Optuna's Gaussian process."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spectral_search.strategy.history import Trial
from spectral_search.strategy.optuna_sampling import SamplerProposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class GpProposer(SamplerProposer):
    """Told of every trial's best value: it models complete trials only, of which early stops leave few."""

    def sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler

        return GPSampler(seed=seed, n_startup_trials=self.spec.search.startup_trials)

    def tell(self, trial: Trial) -> FrozenTrial:
        from optuna.trial import TrialState

        failed = trial.state == "failed"
        if trial.state == "running" or not (trial.values or failed):
            return super().tell(trial)
        # One diverged trial at -1e6 would flatten everything else.
        gain = self.metric.gain(self.metric.worst if failed else self.metric.held(self.metric.best(trial.values)))
        if not math.isfinite(gain):
            return self.shadow.told(trial, TrialState.FAIL)
        return self.shadow.told(trial, TrialState.COMPLETE, gain)


PROPOSER = GpProposer
