"""Which searched parameters mattered: Optuna's PED-ANOVA over trials judged at an epoch that all of them reached."""

from dataclasses import dataclass

import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState, create_trial

from spectral_search.record.run_records import RunRecord, TrialRecord

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
    """The trials that did not fail and the last epoch that all of them reached; 0 where there is none."""
    over = [trial for trial in record.trials if trial.state in ("complete", "stopped") and trial.epochs]
    return over, min((trial.last_epoch for trial in over), default=0)


def importance(record: RunRecord) -> Importance | None:
    """Importances of a search; None where it has too few trials or nothing that varies."""
    trials, epoch = judged_trials(record)
    trials = [trial for trial in trials if epoch in trial.values]  # whose objective was no number there tell nothing
    if len(trials) < MIN_TRIALS:
        return None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # In memory: the run's own study holds what trials ended with, and they ended at different epochs.
    shadow = optuna.create_study(direction=record.objective.direction, sampler=optuna.samplers.RandomSampler())
    for trial in trials:
        params, distributions = trial.stored
        varied = {key: item for key, item in distributions.items() if not item.single()}
        kept = {key: params[key] for key in varied}
        shadow.add_trial(
            create_trial(state=TrialState.COMPLETE, value=trial.values[epoch], params=kept, distributions=varied)
        )
    share = get_param_importances(shadow, evaluator=PedAnovaImportanceEvaluator())
    return Importance(dict(share), epoch, len(trials)) if share else None
