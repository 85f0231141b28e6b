"""Where a search's study lies, and how it is opened."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection
from sqlalchemy.exc import IntegrityError, ProgrammingError

from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.spec.load import expand
from spectral_search.task.metric import Metric

_DATABASE_WAIT_S = 60
_ATTEMPTS, _ATTEMPT_SECONDS = 10, 0.3


@contextmanager
def open_storage(url: str) -> Iterator[BaseStorage]:
    """The database of a study, with its connections closed at the end.

    Raises:
        RequestError: It cannot be reached.
    """
    waits = {"connect_args": {"timeout": _DATABASE_WAIT_S}} if url.startswith("sqlite") else None
    try:
        storage = _with_tables(url, waits)
    except ImportError as error:
        raise RequestError(
            "The Python driver of the study's database is missing: for PostgreSQL, `pip install 'psycopg[binary]'` and "
            "let search.storage begin with postgresql+psycopg://."
        ) from error
    except Exception as error:
        raise RequestError(
            f"The study's database cannot be opened ({type(error).__name__}): check search.storage and that the "
            "server runs."
        ) from error
    try:
        yield storage
    finally:
        _close(storage)


def _with_tables(url: str, engine_kwargs: dict[str, Any] | None) -> RDBStorage:
    """The database, in which tables are made where there are none."""
    for _ in range(_ATTEMPTS - 1):
        # Of several processes that find no tables a server lets one make them and fails the others, which find them the
        # next time.
        with suppress(IntegrityError, ProgrammingError):
            return RDBStorage(url, engine_kwargs=engine_kwargs)
        time.sleep(_ATTEMPT_SECONDS)
    return RDBStorage(url, engine_kwargs=engine_kwargs)


def storage_url(manifest: Manifest, paths: RunPaths) -> str:
    """Where a run's study lies; a password comes from the environment and is nowhere else."""
    return expand(manifest.storage) if manifest.storage else paths.study_url


def open_study(storage: BaseStorage, name: str, objectives: Sequence[Metric]) -> optuna.Study:
    """A study, made where it does not exist yet. It is never asked for anything: see `strategy`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=name,
        storage=storage,
        directions=[StudyDirection[metric.direction.upper()] for metric in objectives],
        sampler=RandomSampler(),
        pruner=optuna.pruners.NopPruner(),
        load_if_exists=True,
    )


def create_study(url: str, name: str, objectives: Sequence[Metric]) -> None:
    """Make the tables of a study that has no trial yet."""
    storage = RDBStorage(url)
    open_study(storage, name, objectives)
    _close(storage)


def _close(storage: RDBStorage) -> None:
    storage.remove_session()
    storage.engine.dispose()
