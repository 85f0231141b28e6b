"""A results folder as the live page knows it: its runs, each read bit by bit, and what was made of them before."""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from spectral_search.cluster.live_page.kept_files import KeptFiles, Mark
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord, RunSummary, list_runs

T = TypeVar("T")
_MOST_WATCHED = 12
"""Runs whose epochs are kept in memory: a big one takes some 50 MB."""
_LOOK_SECONDS = 0.1
"""What one listing may spend on runs that were never looked into; the others follow in the next ones."""


@dataclass
class WatchedRun:
    """A run that somebody looks at."""

    paths: RunPaths
    files: KeptFiles = field(default_factory=KeptFiles)
    lock: Lock = field(default_factory=Lock)
    _made: dict[str, tuple[object, Any]] = field(default_factory=dict)

    def read(self, now: float) -> RunRecord:
        """The run as it is now. The caller holds the lock.

        Raises:
            RequestError: As of `RunRecord.load`.
        """
        return RunRecord.load(self.paths, now=now, files=self.files)

    def made(self, what: str, of: object, make: Callable[[], T]) -> T:
        """What was made of something before, where that is still the same; else it is made now."""
        before = self._made.get(what)
        if before is None or before[0] != of:
            before = of, make()
            self._made[what] = before
        value: T = before[1]
        return value


@dataclass(frozen=True)
class Glance:
    """What a list of runs tells of a run that is not finished."""

    best_value: float | None
    counts: dict[str, int]
    epochs: int


class ResultsFolder:
    """The runs of a results folder; may be asked by several threads.

    Args:
        root: The folder; it need not exist.
        clock: Seconds since the epoch.
    """

    def __init__(self, root: Path, clock: Callable[[], float] = time.time) -> None:
        self.root, self._clock = root, clock
        self._manifests = KeptFiles()
        self._listing = Lock()
        self._watched: OrderedDict[str, WatchedRun] = OrderedDict()
        self._glances: dict[str, tuple[object, Glance]] = {}
        self._looked: dict[str, float] = {}

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    def watched(self, name: str) -> WatchedRun:
        """A run, to be read under its lock.

        Raises:
            RequestError: The name cannot be that of a run, or there is none.
        """
        paths = RunPaths(self.root, name).require()
        with self._listing:
            run = self._watched.setdefault(name, WatchedRun(paths))
            self._watched.move_to_end(name)
            while len(self._watched) > _MOST_WATCHED:
                # A thread that is just reading this run holds it by itself, so nothing is taken from under it.
                self._watched.popitem(last=False)
        return run

    def runs(self, look_seconds: float = _LOOK_SECONDS) -> list[tuple[RunSummary, Glance | None]]:
        """All runs, newest first, and of those that are not finished how far they came, where that is known yet.

        Raises:
            RequestError: The folder cannot be listed.
        """
        with self._listing:
            summaries = list_runs(self.root, now=self._clock(), files=self._manifests)
        until = time.monotonic() + look_seconds
        # Those that run first: old ones that were never looked into would take all the time of the first listings. And
        # in turn: were the same ones always first, others of many would never be looked into.
        in_turn = sorted(summaries, key=lambda run: (run.state != "running", self._looked.get(run.name, 0.0)))
        glances = {run.name: self._glance(run, until) for run in in_turn}
        return [(run, glances[run.name]) for run in summaries]

    def _glance(self, run: RunSummary, until: float) -> Glance | None:
        if run.state in ("finished", "unreadable"):
            return None
        paths = RunPaths(self.root, run.name)
        # Of a run that nobody works on its study changes last; a running one is read anew each time.
        seen = run.state, Mark.of(paths.manifest_json), Mark.of(paths.study_db)
        before = self._glances.get(run.name)
        if before is not None and before[0] == seen and run.state != "running":
            return before[1]
        now = time.monotonic()
        if now > until:
            return None if before is None else before[1]
        self._looked[run.name] = now
        with suppress(RequestError):  # told where the run itself is shown
            # One that does not run is read once and let go: old runs must not push out those that somebody looks at.
            watched = self.watched(run.name) if run.state == "running" else WatchedRun(paths)
            with watched.lock:
                record = watched.read(self._clock())
            best = record.best
            glance = Glance(None if best is None else best.best_value, record.counted, record.epochs_trained)
            self._glances[run.name] = seen, glance
            return glance
        return None
