"""A study in memory, of which Optuna's samplers are asked: the durable one only holds proposals that are really run.

Values are told as gains, of which more is better, so that every sampler looks for the largest.
"""

from collections.abc import Sequence

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import Trial
from spectral_search.strategy.space_points import Params, searched_domains
from spectral_search.strategy.stored_choices import StoredSpace

STATES = {
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class ShadowStudy:
    """Asks samplers for points of a search's space.

    Args:
        spec: The search.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec, domains = spec, searched_domains(spec)
        self._keys, self._stored = list(domains), StoredSpace(domains)

    def ask(self, sampler: BaseSampler, told: Sequence[FrozenTrial]) -> Params:
        """What a sampler proposes after these trials."""
        # Optuna otherwise announces each study that is made.
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # A new one each time: a proposal must not depend on what was asked before.
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(told)
        trial = study.ask()
        params: Params = {}
        for key in self._keys:
            if self._spec.is_active(key, params):
                params[key] = self._stored.suggest(trial, key)
        return params

    def told(
        self, trial: Trial, state: TrialState, value: float | None = None, gains: Sequence[float] = ()
    ) -> FrozenTrial:
        """A trial in Optuna's terms.

        Args:
            trial: The trial.
            state: As the sampler is to see it.
            value: Of one that is complete, more being better.
            gains: After each epoch.
        """
        params, distributions = self._stored.frozen(trial.params)
        return create_trial(
            state=state,
            value=value,
            params=params,
            distributions=distributions,
            intermediate_values=dict(enumerate(gains, start=1)),
        )
