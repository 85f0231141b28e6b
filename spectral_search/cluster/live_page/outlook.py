"""How far a search has come and how long its training will still take, from what lies in its folder."""

from dataclasses import dataclass

from spectral_search.record.run_records import RunRecord
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.epochs_planned import Reached, planned_epochs
from spectral_search.strategy.rule import rule_of

_OVER = ("complete", "stopped", "failed")
AT = "at_unix_seconds"


@dataclass(frozen=True)
class Outlook:
    """How far a search has come.

    Attributes:
        phase: What it does, in words.
        epochs_planned: About how many epochs all trials will have trained together.
        left_s: Estimated seconds until the last trial is over, without the re-test; None where nothing tells.
        examples_per_second: Of all trials that train now.
    """

    phase: str
    epochs_planned: int
    left_s: float | None
    examples_per_second: float | None


def outlook(record: RunRecord, spec: RunSpec, now: float) -> Outlook:
    """How far a run has come."""
    planned = _planned_epochs(record, spec)
    live = [trial for trial in record.trials if trial.state == "running" and trial.epochs]
    rate = sum(trial.epochs[-1].get(f"{record.task.examples}_per_second") or 0.0 for trial in live)
    seconds = epoch_seconds(record, now)
    left = None if seconds is None else max(0, planned - record.epochs_trained) * seconds
    return Outlook(_phase(record), planned, left or None, rate or None)


def _phase(record: RunRecord) -> str:
    if record.state != "running":
        return str(record.state)
    if not any(trial.epochs for trial in record.trials):
        return "starting" if not record.trials else "first epochs"
    is_over = all(trial.state in _OVER for trial in record.trials)
    planned = record.manifest.planned_trials
    return "re-test" if is_over and planned is not None and len(record.trials) >= planned else "training"


def _planned_epochs(record: RunRecord, spec: RunSpec) -> int:
    longest = spec.fit.epochs
    trials = [
        Reached(trial.last_epoch, trial.params.get("fit.epochs", longest), trial.state) for trial in record.trials
    ]
    planned = record.manifest.planned_trials
    return planned_epochs(trials, len(trials) if planned is None else planned, rule_of(spec), longest)


def epoch_seconds(record: RunRecord, now: float) -> float | None:
    """Seconds in which all trials of a running search together take one epoch, since its process began."""
    if record.state != "running":
        return None
    since = record.manifest.process_started or 0.0
    rows = [row for trial in record.trials for row in trial.epochs if row.get(AT, -1.0) >= since]
    if not rows:
        return None
    # Starting processes is no part of what an epoch costs.
    began = min(row[AT] - (row.get("seconds") or 0.0) for row in rows)
    return max(0.0, now - began) / len(rows)
