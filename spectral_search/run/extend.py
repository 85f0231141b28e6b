"""Extending a search that is over: more trials, or more epochs for the trials that went their whole way.

A search with more epochs goes on in a copy of its study in which the complete trials run again. One whose last epoch
has become a rung is judged there first, like any other.
"""

from dataclasses import dataclass

from spectral_search.errors import RequestError
from spectral_search.record.durable import digest_of, write_atomic
from spectral_search.record.manifest import Manifest
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.run.study_copy import copy_study
from spectral_search.run.study_storage import open_storage, storage_url
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.space_points import planned_trials

_WHOLE_CYCLE = ("cosine", "one_cycle")
"""Schedules whose every step depends on the number of epochs: what was trained so is no part of a longer run."""
_LAST_EPOCHS = ("swa",)
"""Averages of weights that begin a number of epochs before the last one, likewise."""


@dataclass(frozen=True)
class Extension:
    """What `resume --trials N --epochs N` asks for; None leaves the number as it is."""

    trials: int | None = None
    epochs: int | None = None

    def __bool__(self) -> bool:
        return self.trials is not None or self.epochs is not None


def require_extensible(record: RunRecord, wanted: Extension) -> None:
    """Refuse what `extend` would refuse; touches nothing.

    Raises:
        RequestError: There is nothing to add, or it cannot be added.
    """
    longer, _ = _longer_spec(record, RunSpec.from_dict(record.spec), wanted)
    if wanted.epochs is not None:
        _going_on(record, longer)


def extend(record: RunRecord, wanted: Extension) -> str:
    """Enter more trials or epochs into a run's record; resuming it then carries them out. Says what will be done.

    The caller holds the run (see `run_lock`).

    Raises:
        RequestError: There is nothing to add, or it cannot be added.
    """
    paths, spec = record.paths, RunSpec.from_dict(record.spec)
    longer, told = _longer_spec(record, spec, wanted)
    manifest = Manifest.load(paths.manifest_json)
    if wanted.epochs is not None:
        # The old study is left as it was: dying before the manifest names the copy changes nothing.
        manifest.study_name, said = _reopened(record, longer)
        told.append(said)
    text = longer.to_yaml()
    # Both texts are the run's own from here on, so that dying before the second write leaves a run that resumes.
    manifest.spec_sha256 = [*manifest.spec_sha256, digest_of(text)]
    manifest.planned_trials, manifest.state = planned_trials(longer), "interrupted"
    manifest.save(paths.manifest_json)
    write_atomic(paths.spec_yaml, text)
    return " ".join(told)


def _longer_spec(record: RunRecord, spec: RunSpec, wanted: Extension) -> tuple[RunSpec, list[str]]:
    faults, values, told, there = [], {}, [], len(record.trials)
    if wanted.trials is not None:
        values["search.trials"] = wanted.trials
        told.append(f"{wanted.trials} trials in all, {max(0, wanted.trials - there)} of them new.")
        if spec.search.exhaustive:
            faults.append(f"--trials: {record.paths.name} runs the {planned_trials(spec)} points of a grid, no more.")
        elif wanted.trials <= there and wanted.trials != spec.search.trials:
            faults.append(f"--trials {wanted.trials}: {record.paths.name} has {there} trials already; ask for more.")
    if wanted.epochs is not None:
        values["fit.epochs"] = wanted.epochs
        if "fit.epochs" in spec.space or any("fit.epochs" in point for point in spec.grid_points()):
            faults.append("--epochs: this search varies fit.epochs itself; `run` it with another range.")
        elif wanted.epochs < spec.fit.epochs:
            faults.append(f"--epochs {wanted.epochs}: the trials have {spec.fit.epochs} epochs already; ask for more.")
    if faults:
        raise RequestError(*faults)
    return spec.override(values), told


def _reopened(record: RunRecord, spec: RunSpec) -> tuple[str, str]:
    """Copy the study with those trials running that have epochs left; the copy's name, and what will be done."""
    longer, final = _going_on(record, spec)
    with open_storage(storage_url(record.manifest, record.paths)) as storage:
        name = copy_study(storage, record.manifest.study_name, longer)
    kept = f"; {final} stay as they are, since they were planned to their end" if final else ""
    return name, f"{len(longer)} complete trials go on to epoch {spec.fit.epochs}{kept}."


def _going_on(record: RunRecord, spec: RunSpec) -> tuple[list[int], int]:
    """The complete trials that have epochs left, and how many others were planned to their end.

    Raises:
        RequestError: All were.
    """
    left = [trial for trial in record.trials if _goes_on(trial, spec.with_params(trial.params))]
    longer = [trial.number for trial in left if not _is_final(spec.with_params(trial.params))]
    final = len(left) - len(longer)
    if final and not longer and all(trial.state in ("complete", "stopped", "failed") for trial in record.trials):
        planned = RunSpec.from_dict(record.spec).fit.epochs
        raise RequestError(
            f"--epochs: the learning rate or the average of every complete trial was planned to end at epoch {planned} "
            f"(fit.schedule {' or '.join(_WHOLE_CYCLE)}, fit.weight_average {' or '.join(_LAST_EPOCHS)}): `run` the "
            "spec, or `train` the best config, with more epochs."
        )
    return longer, final


def _is_final(config: TrialConfig) -> bool:
    """Whether what was trained of it is no part of a longer training."""
    return config.fit.schedule in _WHOLE_CYCLE or config.fit.weight_average in _LAST_EPOCHS


def _goes_on(trial: TrialRecord, config: TrialConfig) -> bool:
    """Whether a complete trial would have gone on, had it been planned for so many epochs."""
    last, best, patience = trial.last_epoch, trial.best_epoch or 0, config.fit.patience
    return trial.state == "complete" and last < config.fit.epochs and (patience is None or last - best < patience)
