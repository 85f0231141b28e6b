"""Reads a run, whether it is in progress, finished, interrupted, or was moved elsewhere."""

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_end, read_lines, read_yaml
from spectral_search.record.epoch_log import joined
from spectral_search.record.failure_causes import Failed, FailureGroup, failure_groups, own_file
from spectral_search.record.gate_verdict import gate_verdict
from spectral_search.record.joiners import others_live
from spectral_search.record.manifest import Manifest, RunState
from spectral_search.record.paths import RunPaths, run_names
from spectral_search.record.paused import read_paused
from spectral_search.record.seed_table import seeds_document
from spectral_search.spec.load import expand
from spectral_search.spec.space_part import PausedPart
from spectral_search.spec.task_modules import DEFAULT_TASK
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of
from spectral_search.task.task import Task

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

    from spectral_search.record.stored_trials import StudyTrial

_TRIAL_STATES = ("complete", "stopped", "failed", "running", "waiting")
# A run on another host shows life only through its files; an epoch rarely takes longer than this.
_SIGN_OF_LIFE_S = 900.0


@dataclass(frozen=True)
class TrialRecord:
    """One trial: epochs holds a dict an epoch with `epoch`, the objective and whatever else was reported."""

    number: int
    state: str
    params: dict[str, Any]
    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    last_epoch: int = 0
    seconds: float | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None
    stored: "tuple[dict[str, Any], dict[str, BaseDistribution]]" = field(default_factory=lambda: ({}, {}))
    """Parameters as the study stores them, with their distributions."""
    collapsed: str | None = None
    """What was seen and why that is likely, where it learnt nothing to its end."""
    values: dict[int, float] = field(default_factory=dict)
    """Epoch -> the objective."""

    @property
    def best_metrics(self) -> dict[str, Any]:
        """What was reported at the best epoch; empty where no epoch has a value."""
        return next((row for row in self.epochs if row["epoch"] == self.best_epoch), {})


@dataclass(frozen=True)
class RunRecord:
    """Everything that a run's folder says about the run."""

    paths: RunPaths
    manifest: Manifest
    spec: dict[str, Any]
    trials: list[TrialRecord]
    state: RunState
    wall_seconds: float
    notes: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, paths: RunPaths, *, now: float | None = None, files: "RunFiles | None" = None) -> "RunRecord":
        """Read a run.

        Args:
            paths: Where it lies now.
            now: Seconds since the epoch; the present where absent.
            files: What reads its files; all of them anew where absent.

        Raises:
            RequestError: There is no such run, or a file of it is missing, locked or damaged.
        """
        files = RunFiles() if files is None else files
        now = time.time() if now is None else now
        # Before the study: trials are never taken out of it, so it holds every trial that this manifest names.
        manifest = files.manifest(paths.require().manifest_json)
        state = run_state(manifest, paths, now)
        spec = files.spec(paths.spec_yaml)
        notes: list[str] = []
        # To whoever reads a study a missing study.db is a fault; of a search before its first trial it is none.
        unborn = manifest.storage is None and not paths.study_db.exists() and _has_no_trials(paths, state)
        # The manifest keeps ${VAR} as written, so that no password is stored with a run.
        url = expand(manifest.storage) if manifest.storage else paths.study_url
        found = [] if unborn else files.study(url, manifest.study_name)
        if found is None and not _has_no_trials(paths, state):
            raise RequestError(
                f"The study {manifest.study_name!r} of run {paths.name!r} is not in "
                f"{manifest.storage or paths.study_db}; restore that database, or run the spec again with `--name`."
            )
        objective = _task_of_spec(spec).objective
        trials = [
            files.trial(trial, paths.trial(trial.number).progress_jsonl, objective, notes) for trial in found or []
        ]
        return cls(paths, manifest, spec, trials, state, _wall_seconds(manifest, state, paths, now), notes)

    @cached_property
    def task(self) -> Task:
        """What it searched on."""
        return _task_of_spec(self.spec)

    @property
    def objective(self) -> Metric:
        """What its trials are ranked by."""
        return self.task.objective

    @property
    def best(self) -> TrialRecord | None:
        """The winner: the one entered when the search finished, until then the best so far."""
        # It need not be what ranks first: a trial that collapsed is not made a finalist where there are others.
        if self.state == "finished" and self.manifest.best is not None:
            chosen = [trial for trial in self.trials if trial.number == self.manifest.best.get("trial")]
            if chosen:
                return chosen[0]
        ranked = self.ranked()
        return ranked[0] if ranked and ranked[0].best_value is not None else None

    @property
    def retest(self) -> dict[str, Any] | None:
        """What the present winner scored in the re-test; None before the end, and while a resumed run has another."""
        return self.manifest.retest if self._judged() else None

    @property
    def test(self) -> dict[str, Any] | None:
        """What the present winner scored on test data, on the same terms."""
        return self.manifest.test if self._judged() else None

    def _judged(self) -> bool:
        best = self.best
        return best is not None and (self.manifest.best or {}).get("trial") == best.number

    @property
    def mismatches(self) -> list[str]:
        """Why the parts of its data cannot be one data set, where it was begun all the same."""
        return list(self.manifest.data.get("mismatches", ()))

    def ranked(self) -> list[TrialRecord]:
        """All trials, best first; failed ones and ones without a value come last, by number."""
        return sorted(self.trials, key=partial(_rank, self.objective))

    @property
    def collapsed(self) -> list[TrialRecord]:
        """The trials that learnt nothing to their end, by number; they count as stopped or complete too."""
        return [trial for trial in self.trials if trial.collapsed is not None]

    @cached_property
    def failures(self) -> list[FailureGroup]:
        """The failed trials by cause, the largest group first; those that collapsed are none of them."""
        failed = [
            Failed(trial.number, trial.params, trial.error or "", read_end(self.paths.trial(trial.number).log_txt))
            for trial in self.trials
            if trial.state == "failed"
        ]
        sound = [trial.params for trial in self.trials if trial.state != "failed" and trial.epochs]
        return failure_groups(failed, sound, len(self.trials), own_file(self.spec.get("task")))

    @cached_property
    def paused(self) -> list[PausedPart]:
        """Parts of its space that get no more trials, since those there failed."""
        return read_paused(self.paths)

    @property
    def counts(self) -> str:
        """How many trials are in which state, and how many of them collapsed, for people."""
        told = ", ".join(f"{count} {state}" for state, count in self.counted.items() if count)
        return f"{told} ({len(self.collapsed)} collapsed)" if self.collapsed else told

    @property
    def counted(self) -> dict[str, int]:
        """Number of trials in each state, in the order in which they are told."""
        found = Counter(trial.state for trial in self.trials)
        return {state: found[state] for state in _TRIAL_STATES}

    def count(self, state: str) -> int:
        """Number of trials in a state."""
        return sum(trial.state == state for trial in self.trials)

    @property
    def epochs_trained(self) -> int:
        """Epochs of all trials together, the losers' included."""
        return sum(len(trial.epochs) for trial in self.trials)


def _task_of_spec(spec: Mapping[str, Any]) -> Task:
    """The task of a resolved spec; of the default one where it names none, as those of earlier versions.

    Raises:
        RequestError: There is no such task.
    """
    return task_of(str(spec.get("task") or DEFAULT_TASK))


def _rank(objective: Metric, trial: TrialRecord) -> tuple[bool, float, int]:
    value = trial.best_value
    if value is None or trial.state == "failed":
        return (True, 0.0, trial.number)
    # Of equals the earlier trial, so that later ones do not shift ranks by drawing level.
    return (False, -objective.gain(value), trial.number)


def run_state(manifest: Manifest, paths: RunPaths, now: float) -> RunState:
    """What the run is doing, whatever its manifest last said.

    Args:
        manifest: The run's manifest.
        paths: Where the run lies.
        now: Seconds since the epoch.
    """
    if manifest.state != "running":
        return manifest.state
    # The manifest names one process; where several work together the others may go on after it has ended.
    if others_live(paths, now):
        return "running"
    if manifest.on_this_host() or manifest.hostname is None:
        # Without a host no process can be looked for, and the answer is no.
        return "running" if manifest.process_is_alive() else "interrupted"
    return "running" if now - _last_sign(paths) < _SIGN_OF_LIFE_S else "interrupted"


def _has_no_trials(paths: RunPaths, state: RunState) -> bool:
    """Whether a search is, or was cut off, between its manifest and the first write of its study."""
    return state != "finished" and not any(paths.trials_dir.glob("*/*"))


def _last_sign(paths: RunPaths) -> float:
    """When a file of the run was last written, seconds since the epoch."""
    files = [paths.study_db, paths.manifest_json, *paths.trials_dir.glob("*/progress.jsonl")]
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)


def _wall_seconds(manifest: Manifest, state: RunState, paths: RunPaths, now: float) -> float:
    if manifest.state != "running" or manifest.process_started is None:
        return manifest.wall_seconds
    # A killed process could not enter its time; the last file it wrote tells how far it came.
    end = now if state == "running" else _last_sign(paths)
    return manifest.wall_seconds + max(0.0, end - manifest.process_started)


class RunFiles:
    """Reads the files of a run, each time anew."""

    def manifest(self, path: Path) -> Manifest:
        """What the manifest holds."""
        return Manifest.load(path)

    def spec(self, path: Path) -> dict[str, Any]:
        """The resolved spec."""
        return read_yaml(path)

    def study(self, url: str, name: str) -> "list[StudyTrial] | None":
        """The trials of the study; None where the database does not hold it."""
        # Here, since Optuna takes long to import, and lists of runs open no study.
        from spectral_search.record.stored_trials import read_study

        return read_study(url, name)

    def trial(self, known: "StudyTrial", progress: Path, objective: Metric, notes: list[str]) -> TrialRecord:
        """One trial, its epochs read from its progress file; what is wrong with that file becomes a note."""
        written: list[dict[str, Any]] = []
        try:
            written = read_lines(progress).records
        except RequestError as fault:
            notes.extend(fault.faults)
        return joined_trial(known, written, objective)


def joined_trial(trial: "StudyTrial", written: list[dict[str, Any]], objective: Metric) -> TrialRecord:
    """Join what the study knows of a trial with the metrics in its progress file."""
    key = objective.val_name
    epochs = joined(written, key, trial.values)
    last = epochs[-1]["epoch"] if epochs else 0
    values = {row["epoch"]: row[key] for row in epochs if _is_number(row.get(key))}
    best_epoch = max(values, key=lambda epoch: (objective.gain(values[epoch]), -epoch), default=None)
    timed = [row["seconds"] for row in epochs if _is_number(row.get("seconds"))]
    return TrialRecord(
        number=trial.number,
        # A log beyond the rung at which the study holds the trial means that it trains again already.
        state="waiting" if 0 < trial.held == last else trial.state,
        params=trial.params,
        epochs=epochs,
        best_epoch=best_epoch,
        # A lost or damaged log does not cost a complete trial its value: the study has that too.
        best_value=trial.final if best_epoch is None else values[best_epoch],
        last_epoch=last,
        seconds=sum(timed) if timed else trial.seconds,
        error=trial.error,
        notes=trial.notes,
        began=trial.began,
        ended=trial.ended,
        stored=trial.stored,
        collapsed=trial.collapsed,
        values=values,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def run_document(record: RunRecord) -> dict[str, Any]:
    """The JSON document of `run`, `resume` and `status`; while trials are left it tells of them too."""
    best, retest, objective = record.best, record.retest, record.objective
    unfinished = record.state in ("running", "interrupted")
    document: dict[str, Any] = {
        "name": record.paths.name,
        "path": str(record.paths.folder),
        "state": record.state,
        "best": None,
        "retest": None if retest is None else {key: retest.get(key) for key in (objective.name, "low", "high")},
        "trials": {state: record.counted[state] for state in _TRIAL_STATES[: None if unfinished else 3]},
        "epochs_trained": record.epochs_trained,
        "wall_seconds": round(record.wall_seconds, 1),
    }
    if record.mismatches:
        document["mismatches"] = record.mismatches
    if record.collapsed:
        document["collapsed"] = [{"trial": trial.number, "reason": trial.collapsed} for trial in record.collapsed]
    if record.failures:
        document["failures"] = [group.to_dict() for group in record.failures]
    if record.paused:
        document["paused"] = [paused.to_dict() for paused in record.paused]
    if best is not None:
        document["best"] = _best_document(best, objective)
    if (gate := gate_verdict(record)) is not None:
        document["gate"] = gate.to_dict()
    if record.manifest.seeds:
        document["seeds"] = seeds_document(record.manifest.seeds)
    if record.state == "running":
        document["live"] = [_live_document(trial, objective) for trial in record.trials if trial.state == "running"]
    return document


def _best_document(trial: TrialRecord, objective: Metric) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "epoch": trial.best_epoch,
        objective.val_name: trial.best_value,
        "params": trial.params,
    }


def _live_document(trial: TrialRecord, objective: Metric) -> dict[str, Any]:
    last = trial.epochs[-1].get(objective.val_name) if trial.epochs else None
    return {
        "trial": trial.number,
        "epoch": trial.last_epoch,
        objective.val_name: last,
        f"best_{objective.val_name}": trial.best_value,
        "params": trial.params,
    }


@dataclass(frozen=True)
class RunSummary:
    """One line about a run, from its manifest alone; the values are of its objective, on val and in the re-test."""

    name: str
    path: Path
    state: RunState | Literal["unreadable"]
    stage: str | None = None
    created_at: str | None = None
    planned_trials: int | None = None
    wall_seconds: float | None = None
    best_value: float | None = None
    retest_value: float | None = None
    fault: str | None = None
    task: str = DEFAULT_TASK

    @property
    def objective(self) -> Metric:
        """What its values are of."""
        return task_of(self.task).objective


def list_runs(root: Path, *, now: float | None = None, files: RunFiles | None = None) -> list[RunSummary]:
    """All runs of a results root, newest first. Opens no study, so it is cheap for hundreds of runs.

    Args:
        root: The results root; an absent one has no runs.
        now: Seconds since the epoch; the present where absent.
        files: What reads their manifests.
    """
    moment, files = time.time() if now is None else now, RunFiles() if files is None else files
    runs = [_summary(RunPaths(root, name), moment, files) for name in run_names(root)]
    # Times in ISO 8601 and UTC sort as text; unreadable runs have none and come last.
    return sorted(runs, key=lambda run: run.created_at or "", reverse=True)


def newest_finished(root: Path, stage: str) -> RunSummary | None:
    """The finished run of a stage that was created last: the one that other stages inherit from."""
    return next((run for run in list_runs(root) if run.stage == stage and run.state == "finished"), None)


def _summary(paths: RunPaths, now: float, files: RunFiles) -> RunSummary:
    try:
        manifest = files.manifest(paths.manifest_json)
        # In here too, since the file of a user's own task may be gone, which must not hide the other runs.
        objective = task_of(manifest.task).objective
    except RequestError as fault:
        return RunSummary(paths.name, paths.folder, "unreadable", fault=str(fault))
    state = run_state(manifest, paths, now)
    return RunSummary(
        name=paths.name,
        path=paths.folder,
        state=state,
        stage=manifest.stage,
        created_at=manifest.created_at,
        planned_trials=manifest.planned_trials,
        wall_seconds=_wall_seconds(manifest, state, paths, now),
        best_value=(manifest.best or {}).get(objective.val_name),
        retest_value=(manifest.retest or {}).get(objective.name),
        task=manifest.task,
    )
