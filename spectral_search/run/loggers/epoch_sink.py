"""Loggers: what shows the epochs of a search elsewhere than in its own record, such as TensorBoard.

A logger is an object of a module `NAME_logger.py` (see `spec.name_registry`). It is fed from where the study records
epochs, so that every executor gives the same. What it keeps lies in a folder of its own in the run's. Whenever a
process takes up a run that folder is made anew from the record of epochs, which alone is durable: a kill neither
doubles a point nor loses one.
"""

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from spectral_search.errors import RequestError
from spectral_search.record.durable import plain
from spectral_search.record.paths import RunPaths
from spectral_search.spec.name_registry import LOGGERS


class Point(NamedTuple):
    """What was measured in an epoch of a trial.

    Attributes:
        epoch: From 1.
        at: When, in Unix seconds.
        values: By name.
    """

    epoch: int
    at: float
    values: Mapping[str, float]


class Logger(ABC):
    """Shows a search, trial by trial.

    Args:
        paths: The run's folder.
        stage: What the search is of.
    """

    package: ClassVar[str]
    """What it imports."""
    extra: ClassVar[str]
    """Of this package, which brings that."""

    def __init__(self, paths: RunPaths, stage: str) -> None:
        self.name, self.stage = paths.name, stage
        self.folder: Path = paths.logging(self.extra).absolute()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def library(self, part: str = "") -> Any:
        """The package that it shows with, or a module of it."""
        return import_module(f"{self.package}{part}")

    @abstractmethod
    def begin(self, number: int, params: Mapping[str, Any]) -> None:
        """A trial, before its first epoch; again where it goes on from a rung."""

    @abstractmethod
    def epochs(self, number: int, points: Sequence[Point]) -> None:
        """Further epochs of a trial, kept by the time that this returns: all of them at once where it is taken up."""

    @abstractmethod
    def end(self, number: int, state: str) -> None:
        """What became of a trial: complete, stopped or failed; waiting where it may go on later, or end without."""

    @abstractmethod
    def close(self) -> None:
        """The process ends."""


def point(record: Mapping[str, Any]) -> Point:
    """What of an epoch's record is shown."""
    return Point(int(record["epoch"]), float(record.get("at_unix_seconds", time.time())), numbers(record))


def numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """What of an epoch's record can be drawn: finite numbers, by name."""
    return {
        name: float(value)
        for name, value in plain(record).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in ("epoch", "at_unix_seconds")
    }


def require_no_loggers(names: Sequence[str]) -> None:
    """Refuse loggers of a run that several processes work on: each would make the folders of the others anew.

    Raises:
        RequestError: There are any.
    """
    if names:
        raise RequestError(
            f"search.loggers ({', '.join(names)}) shows what one process works on: leave it out, or work on the "
            "run without --join."
        )


def require_loggers(names: Sequence[str]) -> None:
    """Refuse, before any work, a logger whose package is not there.

    Raises:
        RequestError: It names the package, and what brings it.
    """
    faults = []
    for name in names:
        wanted: type[Logger] = LOGGERS.find(name)
        if find_spec(wanted.package) is None:
            faults.append(
                f"search.loggers names {name}, and {wanted.package} is not installed: "
                f"`pip install 'spectral-search[{wanted.extra}]'`, or leave it out."
            )
    if faults:
        raise RequestError(*faults)
