"""Reads the trials of an Optuna study without changing it."""

import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from spectral_search.errors import RequestError
from spectral_search.record.database import sqlite_file, sqlite_url

TrialStateName = Literal["waiting", "running", "complete", "stopped", "failed"]
_STATES: dict[TrialState, TrialStateName] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "stopped",
    TrialState.FAIL: "failed",
}
_LAST_TABLE = "alembic_version"
"""Of the tables that Optuna makes the one that it makes last."""
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


@dataclass(frozen=True)
class StudyTrial:
    """A trial as the study knows it.

    Attributes:
        number: From 0.
        state: What became of it.
        params: Dotted path -> value.
        values: Epoch, from 1, -> value of the objective, in studies of the version before; the logs hold them since.
        seconds: From its proposal to its end.
        error: Why it failed.
        notes: What befell it.
        began: When it was proposed.
        ended: When it was over.
        stored: Its parameters as the study stores them, with their distributions.
        collapsed: What was seen and why that is likely, where it learnt nothing to its end.
        final: The objective at its best epoch, of a complete trial.
        held: The rung at which it waits if it has come no further; 0 where it does not wait.
    """

    number: int
    state: TrialStateName
    params: dict[str, Any]
    values: dict[int, float]
    seconds: float | None
    error: str | None
    notes: tuple[str, ...] = ()
    began: datetime | None = None
    ended: datetime | None = None
    stored: tuple[dict[str, Any], dict[str, BaseDistribution]] = field(default_factory=lambda: ({}, {}))
    collapsed: str | None = None
    final: float | None = None
    held: int = 0


def read_study(url: str, study_name: str, *, lock_wait_s: float = 5.0) -> list[StudyTrial] | None:
    """Read all trials of a study, or None where the database does not hold it (yet).

    Args:
        url: Database URL. An SQLite file is opened read-only.
        study_name: Name of the study in it.
        lock_wait_s: How long to wait for another process that holds an SQLite file.

    Raises:
        RequestError: The database is missing, locked, damaged, foreign or out of reach.
    """
    reader = StudyReader(url, study_name, lock_wait_s=lock_wait_s)
    try:
        return reader.trials()
    finally:
        reader.close()


class StudyReader:
    """Reads a study again and again; a trial that was over at the reading before is not read anew.

    No connection stays open between two readings, so that the database may be moved or removed meanwhile.

    Args:
        url: As of `read_study`.
        study_name: Likewise.
        lock_wait_s: Likewise.
    """

    def __init__(self, url: str, study_name: str, *, lock_wait_s: float = 5.0) -> None:
        self._url, self._name, self._lock_wait_s = url, study_name, lock_wait_s
        self._study: optuna.Study | None = None
        self._backend: RDBStorage | None = None
        self._known: dict[int, tuple[FrozenTrial, StudyTrial]] = {}

    def trials(self) -> list[StudyTrial] | None:
        """All trials now, or None where the database does not hold the study (yet).

        Raises:
            RequestError: As of `read_study`.
        """
        try:
            if (study := self._opened()) is None:
                return None
            # Not copied: `_taken` knows a trial that was over before by being the same object.
            return [self._taken(trial) for trial in study.get_trials(deepcopy=False)]
        # What Optuna raises where the database holds no study of the name.
        except KeyError:
            self.close()
            return None
        # ImportError: the driver of the database is not installed here.
        except (SQLAlchemyError, StorageInternalError, RuntimeError, ImportError) as fault:
            self.close()
            raise RequestError(_fault_text(self._url, fault)) from None

    def close(self) -> None:
        """Forget what was read."""
        if self._backend is not None:
            self._backend.engine.dispose()
        self._study = self._backend = None
        self._known = {}

    def _opened(self) -> optuna.Study | None:
        """The study; None where the database has none of Optuna's tables (yet), which a reader does not make."""
        if self._study is None:
            url, arguments = _reading_url(self._url), _engine_arguments(self._url, self._lock_wait_s)
            if sqlite_file(url) is None and not _has_tables(url, arguments):
                return None
            # The check of the schema's version loads a quarter of a second of migrations; whoever writes makes it.
            self._backend = RDBStorage(
                url, engine_kwargs=arguments, skip_compatibility_check=True, skip_table_creation=True
            )
            # Sampler and pruner are idle here; naming them spares their imports and warnings.
            idle = optuna.samplers.RandomSampler()
            self._study = optuna.load_study(study_name=self._name, storage=self._backend, sampler=idle)
        return self._study

    def _taken(self, trial: FrozenTrial) -> StudyTrial:
        """The trial as it was told before, where the storage gave the very same."""
        before, told = self._known.get(trial.number, (None, None))
        if before is not trial or told is None:
            told = _trial(trial)
            self._known[trial.number] = trial, told
        return told


def _reading_url(url: str) -> str:
    file = sqlite_file(url)
    if file is None:
        return url
    if not file.is_file():
        raise RequestError(f"The study {file} is missing; restore it, or run the spec again under another name.")
    # A search that was killed in mid-write leaves a journal, and only a connection that may write can roll it back.
    mode = "rw" if file.with_name(file.name + "-journal").exists() else "ro"
    return sqlite_url(file, mode)


def _engine_arguments(url: str, lock_wait_s: float) -> dict[str, Any]:
    # `timeout` is an argument of sqlite3; drivers of other databases may refuse it.
    none_kept: dict[str, Any] = {"poolclass": NullPool}
    return none_kept | ({"connect_args": {"timeout": lock_wait_s}} if url.startswith("sqlite") else {})


def _has_tables(url: str, arguments: dict[str, Any]) -> bool:
    engine = create_engine(url, **arguments)
    try:
        return inspect(engine).has_table(_LAST_TABLE)
    finally:
        engine.dispose()


def _fault_text(url: str, fault: Exception) -> str:
    where = str(sqlite_file(url) or make_url(url).render_as_string(hide_password=True))
    # SQLAlchemy appends the statement and a link; the database's own words are in `orig`.
    cause = fault.__cause__ if isinstance(fault, StorageInternalError) else fault
    reason = str(getattr(cause, "orig", None) or cause).splitlines()[0]
    if isinstance(cause, OperationalError) and "locked" in reason:
        return f"The study {where} is held by another process ({reason}); try again in a moment."
    return f"The study {where} cannot be read ({reason}); restore it, or run the spec again under another name."


def _trial(trial: FrozenTrial) -> StudyTrial:
    error, collapsed = trial.user_attrs.get("error"), trial.user_attrs.get("collapsed")
    held, passed = (trial.user_attrs.get(name, 0) for name in ("held_rung", "passed_rung"))
    return StudyTrial(
        number=trial.number,
        state=_STATES[trial.state],
        params=dict(trial.user_attrs.get("params", trial.params)),
        values={epoch: value for epoch, value in sorted(trial.intermediate_values.items()) if math.isfinite(value)},
        seconds=trial.duration.total_seconds() if trial.duration is not None else None,
        # A trial that was interrupted as it failed, and then succeeded, still has the error of its first attempt.
        error=str(error) if error is not None and trial.state == TrialState.FAIL else None,
        notes=tuple(map(str, trial.user_attrs.get("notes", ()))),
        began=trial.datetime_start,
        ended=trial.datetime_complete,
        stored=(trial.params, trial.distributions),
        # Written before its end is: a trial that was cut off in between is not over.
        collapsed=str(collapsed) if collapsed is not None and trial.state in _ENDED else None,
        final=trial.values[0] if trial.values else None,
        held=held if trial.state == TrialState.RUNNING and passed < held else 0,
    )
