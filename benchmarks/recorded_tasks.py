"""Recorded tasks of others: a file of numpy arrays with every configuration's loss at each point of its training.

A task NAME is an array of C configurations x E points (a loss, lower is better, not finite from where a training
diverged), and NAME__hp holds their H hyperparameters, named by hp_names. Only the order of a hyperparameter's values is
used: where each stands among all recorded ones, from 0 to 1. Shape suffixes: C configurations, E points, H keys.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.spec.domain import Domain

_HYPERPARAMETERS, _NAMES = "__hp", "hp_names"
_TOP_PART = 100
"""One in this many configurations counts as found, by its last value."""
_FEWEST_POINTS = 10


@dataclass(frozen=True)
class RecordedTask:
    """What every configuration of a task came to.

    Attributes:
        name: Its name.
        domains: Of each hyperparameter.
        params: Of each configuration.
        values_CE: Minus the loss, so that higher is better; minus infinity from where it diverged.
    """

    name: str
    domains: Mapping[str, Domain]
    params: list[dict[str, float]]
    values_CE: np.ndarray

    @property
    def epochs(self) -> int:
        """E."""
        return int(self.values_CE.shape[1])

    @property
    def top(self) -> frozenset[int]:
        """Places of the best configurations by their last value."""
        count = max(1, len(self.params) // _TOP_PART)
        return frozenset(np.argsort(-self.values_CE[:, -1], kind="stable")[:count].tolist())


def read_tasks(file: Path) -> list[RecordedTask]:
    """All tasks of a file, by name.

    Raises:
        RequestError: It cannot be read, or holds no tasks, or other shapes than these.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except OSError as error:
        raise RequestError(
            f"{file} cannot be read ({error.strerror or error}): give a file of recorded tasks."
        ) from error
    except (ValueError, TypeError, zipfile.BadZipFile, KeyError) as error:
        raise RequestError(f"{file} is no .npz file of plain numpy arrays: give a file of recorded tasks.") from error
    names = sorted(name.removesuffix(_HYPERPARAMETERS) for name in arrays if name.endswith(_HYPERPARAMETERS))
    if not names:
        raise RequestError(
            f"{file} holds no task: it needs an array NAME of losses (configurations x points) beside an array "
            f"NAME{_HYPERPARAMETERS} of hyperparameters."
        )
    return [_task(file, name, arrays) for name in names]


def _task(file: Path, name: str, arrays: Mapping[str, np.ndarray]) -> RecordedTask:
    loss_CE, values_CH = arrays.get(name), arrays[name + _HYPERPARAMETERS]
    if loss_CE is None:
        raise RequestError(f"{file} holds {name}{_HYPERPARAMETERS} but no array {name}: a task needs both.")
    if loss_CE.ndim != 2 or values_CH.ndim != 2 or len(loss_CE) != len(values_CH):
        raise RequestError(
            f"{file}: {name} has shape {loss_CE.shape} and {name}{_HYPERPARAMETERS} {values_CH.shape}; both must be "
            "tables with a line a configuration."
        )
    if not all(np.issubdtype(array.dtype, np.number) for array in (loss_CE, values_CH)):
        raise RequestError(f"{file}: {name} and {name}{_HYPERPARAMETERS} must hold numbers.")
    if loss_CE.shape[1] < _FEWEST_POINTS or len(loss_CE) < _FEWEST_POINTS:
        raise RequestError(
            f"{file}: {name} has {len(loss_CE)} configurations x {loss_CE.shape[1]} points; stopping early can be "
            f"replayed with {_FEWEST_POINTS} and more of both."
        )
    named = [str(text) for text in arrays[_NAMES].ravel()] if _NAMES in arrays else []
    keys = named if len(named) == values_CH.shape[1] else [f"hp{place}" for place in range(values_CH.shape[1])]
    columns = {key: _places(values_C) for key, values_C in zip(keys, values_CH.T.astype(float), strict=True)}
    params = [dict(zip(columns, map(float, line), strict=True)) for line in zip(*columns.values(), strict=True)]
    domains = {key: Domain(kind="uniform", low=0.0, high=1.0) for key in columns}
    return RecordedTask(name, domains, params, _values(loss_CE.astype(float)))


def _places(values_C: np.ndarray) -> np.ndarray:
    """Where each value stands among all different ones, from 0 to 1."""
    different, place_C = np.unique(values_C, return_inverse=True)
    return place_C / max(1, len(different) - 1)


def _values(loss_CE: np.ndarray) -> np.ndarray:
    ended_CE = np.logical_or.accumulate(~np.isfinite(loss_CE), axis=1)
    return np.where(ended_CE, -np.inf, -loss_CE)
