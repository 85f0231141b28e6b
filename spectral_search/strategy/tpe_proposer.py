"""Optuna's tree of Parzen estimators."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from spectral_search.strategy.history import Trial
from spectral_search.strategy.optuna_sampling import SamplerProposer

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial


class TpeProposer(SamplerProposer):
    """Ranks stopped trials by the epoch they reached and then by their value there."""

    def sampler(self, seed: int) -> BaseSampler:
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Groups let a conditional key learn from the trials that have it; the liar keeps parallel trials apart.
            return optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=self.spec.search.startup_trials,
                multivariate=True,
                group=True,
                constant_liar=True,
            )

    def tell(self, trial: Trial) -> FrozenTrial:
        from optuna.trial import TrialState

        # What failed or collapsed, told as stopped before its first epoch, ranks last: it is not proposed again.
        if trial.came_to_nothing:
            return self.shadow.told(trial, TrialState.PRUNED)
        return super().tell(trial)


PROPOSER = TpeProposer
