"""Which searched parameters mattered: Optuna's PED-ANOVA over trials judged at an epoch that all of them reached."""

from collections.abc import Sequence
from dataclasses import dataclass

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.spec.domain import same_key

MIN_TRIALS = 12
"""With fewer, importances say more of chance than of the parameters."""


@dataclass(frozen=True)
class Importance:
    """How much each parameter decides whether a trial is among the best, as parts of one.

    Attributes:
        share: Dotted path -> part, the largest first; parameters that only some trials have are left out.
        epoch: The epoch whose value counts: trials are stopped early, so later ones are known of some trials alone.
        trials: How many trials it rests on.
    """

    share: dict[str, float]
    epoch: int
    trials: int


def judged_trials(record: RunRecord) -> tuple[list[TrialRecord], int]:
    """The trials that are judged, and by which epoch.

    Returns:
        Those that did not fail and whose objective was a number at the epoch, and the last epoch that all reached that
        did not fail; 0 where there is none.
    """
    over = [trial for trial in record.trials if trial.state in ("complete", "stopped") and trial.epochs]
    epoch = min((trial.last_epoch for trial in over), default=0)
    return [trial for trial in over if epoch in trial.values], epoch


def varied_keys(trials: Sequence[TrialRecord]) -> list[str]:
    """Parameters of which the trials have more than one value, in the order of the search."""
    values: dict[str, set[str]] = {}
    for trial in trials:
        for key, value in trial.params.items():
            values.setdefault(key, set()).add(same_key(value))
    return [key for key, found in values.items() if len(found) > 1]


def importance(record: RunRecord) -> Importance | None:
    """Importances of a search; None where it has too few trials or nothing that varies."""
    trials, epoch = judged_trials(record)
    if len(trials) < MIN_TRIALS:
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # In memory: the run's own study holds what trials ended with, and they ended at different epochs.
    shadow = optuna.create_study(direction=record.objective.direction, sampler=optuna.samplers.RandomSampler())
    # To others PED-ANOVA would give a share by their prior.
    varied = varied_keys(trials)
    for trial in trials:
        params, distributions = ({key: given[key] for key in varied if key in given} for given in trial.stored)
        shadow.add_trial(
            create_trial(
                state=TrialState.COMPLETE, value=trial.values[epoch], params=params, distributions=distributions
            )
        )
    share = get_param_importances(shadow, evaluator=PedAnovaImportanceEvaluator())
    return Importance(dict(share), epoch, len(trials)) if share else None
