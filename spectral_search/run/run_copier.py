"""Copies a run to an object store while it goes on, for machines whose disks may go with them.

Each round looks at one moment of the run: the study and its files stand still for as long as it takes to link what has
changed, then it is written to the store beside the search, and becomes the copy by one object that is written last
(`record.stored_run`). Of checkpoints, which other processes write, a moment may hold older or newer ones than the study
knows of: a trial then trains epochs again, or tells them from its checkpoint, as after a kill.
"""

import hashlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.stored_run import RunIndex, StoredFile, StoredRun, objects_of
from spectral_search.spec.search import ResourcesSpec

_LAST_SECONDS, _LAST_OF_FINISHED_SECONDS = 30.0, 600.0
"""How long the end of a run waits for its last copy: of one that is interrupted, and of one that is done."""
_THREADS = 8
_SQLITE = b"SQLite format 3\0"
_BESIDE_SQLITE = ("-journal", "-wal", "-shm")
"""Endings of what SQLite keeps beside a database; a backup needs none of it."""


class _AbandonedError(Exception):
    """Nobody waits for the copy any more."""


class _TakenOverError(Exception):
    """Another session copies the run to the same place."""


@dataclass(frozen=True)
class _Changed:
    """A file as it was at one moment: what is linked may still grow, and counts as far as it went then."""

    link: Path
    nbytes: int
    stamp: tuple[int, ...]


class RunCopier:
    """The copy of one run.

    Args:
        place: Where.
        paths: The run.
        say: Shows one sentence.
        seconds: Between two rounds.
    """

    def __init__(self, place: StoredRun, paths: RunPaths, say: Callable[[str], None], seconds: float) -> None:
        self._place, self._paths, self._say, self._seconds = place, paths, say, seconds
        self.still: Callable[[], AbstractContextManager[object]] = nullcontext
        """Keeps what this process writes of the run as it is for as long as the block runs."""
        self._writer, self._created_at = secrets.token_hex(8), Manifest.load(paths.manifest_json).created_at
        self._session = 0
        self._known: RunIndex | None = None
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._past: set[str] = set()
        self._ends, self._abandoned, self._failing, self._over = Event(), Event(), False, False
        # A daemon, as a store that does not answer must not keep the process from ending.
        self._thread = Thread(target=self._run, name="copy", daemon=True)

    def begin(self) -> None:
        """Copy from now on."""
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Make the last copy, and wait for it so long at most."""
        self._ends.set()
        try:
            self._thread.join(seconds)
        finally:
            # Also where Ctrl-C ends the wait: the process would not end before all was written that is left.
            if self._thread.is_alive():
                self._abandoned.set()
                self._say_last("was not waited for")

    def _run(self) -> None:
        while not self._over:
            ending = self._ends.is_set()  # before the round: what comes after it is copied by one more
            self._attempt(is_last=ending)
            if ending:
                return
            self._ends.wait(self._seconds)

    def _attempt(self, *, is_last: bool) -> None:
        """One round; what keeps it from being made never stops a search."""
        try:
            self.round()
            self._failing = False
        except _AbandonedError:
            self._over = True
        except _TakenOverError:
            self._over = True
            self._say(f"Another session goes on with run {self._paths.name} and copies it to {self._place.url}.")
        except Exception as fault:
            reason = str(fault).partition("\n")[0] or type(fault).__name__
            if is_last:
                self._say_last(f"was not made ({reason})")
            # Whatever it is, the run itself is on this machine's disk; it is told once, and the next round tries again.
            elif not self._failing:
                self._say(f"Run {self._paths.name} was not copied ({reason}). It goes on, and that is tried again.")
            self._failing = True

    def _say_last(self, what: str) -> None:
        kept = "what was copied before can be resumed, and the run's folder holds all of it"
        self._say(f"The last copy to {self._place.url} {what}: {kept}; `resume {self._paths.name}` copies it again.")

    def round(self) -> None:
        """Copy the run as it is now.

        Raises:
            RequestError: The store does not answer or take it.
            OSError: A file of the run cannot be read.
        """
        before = self._place.index() or RunIndex(self._created_at, session=0, writer="", at_unix_seconds=0.0)
        if self._known is None:
            self._session = before.session + 1
            self._place.keep_session(self._paths, self._session)
        elif before != self._known:
            # What an older session still had on its way may come after what this one wrote.
            if before.session >= self._session and before.writer != self._writer:
                raise _TakenOverError
            self._past = _names(self._known)  # written, though the store did not say so
            self._stamps = {}
        shutil.rmtree(self._paths.copying_dir, ignore_errors=True)
        try:
            at, (there, changed) = time.time(), self._moment()
            kept = {path: one for path, one in before.files.items() if path in there}
            held = _names(before) | self._past
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="copy") as threads:
                written = threads.map(lambda path: self._written(path, changed[path], kept.get(path), held), changed)
                files = kept | dict(zip(changed, written, strict=True))
        finally:
            shutil.rmtree(self._paths.copying_dir, ignore_errors=True)
        self._known = before
        if files != before.files or before.writer != self._writer:
            index = RunIndex(self._created_at, self._session, self._writer, round(at, 2), files)
            self._place.write_index(index)
            # One index later, so that whoever has just read the one before finds what it names.
            self._empty(self._past - _names(before) - _names(index), files)
            self._known, self._past = index, _names(before)
        self._stamps = {path: stamp for path, stamp in self._stamps.items() if path in there}
        self._stamps |= {path: one.stamp for path, one in changed.items()}

    def _empty(self, past: Collection[str], files: Collection[str]) -> None:
        """Let objects take no room that hold what is no more, or what another session wrote."""
        turns = {name for path in files for name in objects_of(path, self._writer)}
        for name in set(past) - turns:
            self._place.store.write(name, BytesIO(), 0, self._heard)

    def _moment(self) -> tuple[set[str], dict[str, _Changed]]:
        """What files there are, and those that changed since the last round, linked or backed up."""
        self._paths.copying_dir.mkdir()
        there, changed = set[str](), dict[str, _Changed]()
        with self.still():
            # What names others before what it names: a manifest that is older than what it names does no harm.
            for path in sorted(self._paths.copied_files(), key=lambda file: file != self._paths.manifest_json):
                if path.name.endswith(_BESIDE_SQLITE):
                    continue
                name = path.relative_to(self._paths.folder).as_posix()
                try:
                    found = self._looked_at(path, name, len(changed))
                except FileNotFoundError:
                    continue  # removed meanwhile by another process
                there.add(name)
                if found is not None:
                    changed[name] = found
        return there, changed

    def _looked_at(self, path: Path, name: str, number: int) -> _Changed | None:
        """A file as it is now; None where it has not changed."""
        status, link = path.stat(), self._paths.copying_dir / str(number)
        stamp: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
        database = _is_sqlite(path)
        if database:  # by whatever lies beside it: the database itself may change later
            beside = [path.with_name(path.name + ending) for ending in _BESIDE_SQLITE]
            stamp += tuple(file.stat().st_mtime_ns for file in beside if file.exists())
        if self._stamps.get(name) == stamp:
            return None
        if database:
            with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(link)) as target:
                source.backup(target)
            return _Changed(link, link.stat().st_size, stamp)
        try:
            os.link(path, link)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            shutil.copyfile(path, link)
        return _Changed(link, link.stat().st_size, stamp)

    def _written(self, path: str, found: _Changed, before: StoredFile | None, held: Collection[str]) -> StoredFile:
        """The object that holds a file: the one before, where that holds the same, else one that no index names."""
        if before is not None and before.nbytes == found.nbytes and _sha256(found) == before.sha256:
            return before
        name = next(name for name in objects_of(path, self._writer) if name not in held)
        with open(found.link, "rb") as source:
            return StoredFile(name, found.nbytes, self._place.store.write(name, source, found.nbytes, self._heard))

    def _heard(self, nbytes: int) -> None:
        if self._abandoned.is_set():
            raise _AbandonedError


def _names(index: RunIndex) -> set[str]:
    """The objects that an index names."""
    return {one.name for one in index.files.values()}


def _is_sqlite(path: Path) -> bool:
    if path.suffix != ".db":
        return False
    with open(path, "rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _sha256(found: _Changed) -> str:
    content, left = hashlib.sha256(), found.nbytes
    with open(found.link, "rb") as file:
        while left and (piece := file.read(min(left, 1 << 20))):
            content.update(piece)
            left -= len(piece)
    return content.hexdigest()


@contextmanager
def copied(resources: ResourcesSpec, paths: RunPaths, say: Callable[[str], None]) -> Iterator[RunCopier | None]:
    """Copy a run to where its spec says, from here to the end of the block and as it is then; None where it says none.

    Args:
        resources: The spec's section.
        paths: The run; the caller holds it.
        say: Shows one sentence.
    """
    place = resources.place_of_copy(paths.name)
    if place is None:
        yield None
        return
    copier, seconds = RunCopier(StoredRun(place, "--copy-to"), paths, say, resources.copy_seconds), _LAST_SECONDS
    copier.begin()
    try:
        yield copier
        seconds = _LAST_OF_FINISHED_SECONDS
    finally:
        copier.end(seconds)
