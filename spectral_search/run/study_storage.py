"""Where a search's study lies, and how it is opened."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection

from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.spec.load import expand
from spectral_search.task.metric import Metric

_DATABASE_WAIT_S = 60


@contextmanager
def open_storage(url: str) -> Iterator[BaseStorage]:
    """The database of a study, with its connections closed at the end.

    Raises:
        RequestError: It cannot be reached.
    """
    waits = {"connect_args": {"timeout": _DATABASE_WAIT_S}} if url.startswith("sqlite") else None
    try:
        storage = RDBStorage(url, engine_kwargs=waits)
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
