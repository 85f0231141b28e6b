"""The folder on this node that keeps what was fetched from object stores, for all processes of it.

    fetched/KEY/data/BUCKET/...   a whole set          fetched/KEY.part/   one that is being fetched, or was cut
    fetched/KEY/set.json          what it is           fetched/KEY.lock    shared by those who read, held by who fetches

A set gets its name when all of it is durable, so that a cut leaves no half of anything; what a cut left is gone on
with, object by object. The folder is bounded: what was used longest ago goes first, and never what is in use.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.places import partial_name, sync_folder, writing
from spectral_search.record.durable import digest_of, read_json, write_json
from spectral_search.record.file_lock import lock_of, open_to_lock, take_lock
from spectral_search.record.object_store import ObjectStore, StoredObject
from spectral_search.record.wording import amount
from spectral_search.spec import home_folder as home

_FOLDER, _DATA, _FACTS, _PART, _LOCK = "fetched", "data", "set.json", ".part", ".lock"
_NAME = re.compile(r"(?P<key>[0-9a-f]{32})(?P<part>\.part)?")
LIMIT_VARIABLE = "SPECTRAL_SEARCH_FETCHED_GB"
_LIMIT_GB = 100.0
_THREADS = 8
"""Objects that are fetched at a time."""
_MEGABYTE = 1_000_000
_POLL_SECONDS = 0.5
Hear = Callable[[int, int], None]
"""Told how many megabytes are there and how many there will be."""


@dataclass(frozen=True)
class StoredSet:
    """Objects of a store in one state.

    Attributes:
        url: Where they lie, as it was given.
        objects: All of them, by name.
    """

    url: str
    objects: tuple[StoredObject, ...]

    @classmethod
    def at(cls, url: str) -> "StoredSet":
        """What lies at a URL now.

        Raises:
            RequestError: Nothing, or the store cannot be asked.
        """
        store = ObjectStore(url)
        if not (objects := store.objects()):
            raise RequestError(f"{store.url} holds no object: name what lies in the bucket.")
        return cls(url, objects)

    @property
    def key(self) -> str:
        """Another one for another place, and where any object was written since."""
        state = (f"{one.name}\0{one.nbytes}\0{one.mtime_ns}" for one in self.objects)
        return digest_of("\n".join((self.url, *state)))[:32]

    @property
    def nbytes(self) -> int:
        """Of all objects."""
        return sum(one.nbytes for one in self.objects)


@dataclass(frozen=True)
class FetchedEntry:
    """One set in the folder, whole or begun; as `array_cache.Entry` in what is told of it."""

    path: Path
    nbytes: int
    used_at: float
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def kind(self) -> str:
        """Whether all of it is there."""
        return "begun" if self.name.endswith(_PART) else "data"

    @property
    def in_use(self) -> bool:
        """Whether a process uses or fetches it now."""
        with lock_of(_lock_file(self.path)) as state:
            return state != "held"


@dataclass(frozen=True)
class KeptSet:
    """A set on this node; nobody removes it before it is released.

    Attributes:
        of: The set.
        folder: Where its objects lie, each under its bucket and key.
        lock: The descriptor that holds it.
    """

    of: StoredSet
    folder: Path
    lock: int

    def release(self) -> None:
        """Use it no more."""
        os.close(self.lock)


class FetchedCache:
    """The folder.

    Args:
        folder: Made when the first set is fetched.
        limit_bytes: What all sets together may take.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    @classmethod
    def here(cls) -> "FetchedCache":
        """That of this user.

        Raises:
            RequestError: There is no folder for it, or its bound is no number.
        """
        limit_bytes = home.cache_limit(LIMIT_VARIABLE, _LIMIT_GB, "fetched data")
        # Without links, as those who read name what they find: a file is known by its path for one that was fetched.
        return cls((home.cache_folder() / _FOLDER).resolve(), limit_bytes)

    def keep(self, wanted: StoredSet, hear: Hear) -> KeptSet:
        """A set, fetched if it is not there; another process that fetches it is waited for.

        Raises:
            RequestError: It is larger than the bound or than what is free, or its store does not give it.
            RunError: The disk is full.
        """
        entry = self.folder / wanted.key
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            # Shared first: who only reads must not wait for others who read.
            if entry.exists() and (lock := self._lock_to_read(entry)) is not None:
                if not _missing(wanted, entry):
                    return KeptSet(wanted, entry / _DATA, lock)
                os.close(lock)
            with self._lock_to_write(wanted, entry, hear), writing(self.folder):
                # Another process may have fetched it while this one waited.
                if _missing(wanted, entry):
                    self._fetch(wanted, entry, hear)

    def _lock_to_read(self, entry: Path) -> int | None:
        """A lock that others may have too; None where the entry is being made or removed."""
        lock = open_to_lock(_lock_file(entry))
        # Without locks nothing is ever removed.
        if take_lock(lock, shared=True) == "taken":
            os.close(lock)
            return None
        os.utime(lock)
        return lock

    @contextmanager
    def _lock_to_write(self, wanted: StoredSet, entry: Path, hear: Hear) -> Iterator[None]:
        """The lock that one process alone has; whoever waits for it sees how far the other one is."""
        lock = open_to_lock(_lock_file(entry))
        try:
            while take_lock(lock) == "taken":
                if entry.exists() and not _missing(wanted, entry):
                    break  # it is whole: others read it
                if entry.exists():
                    raise RequestError(
                        f"Files of {entry} were removed while processes use them: end these, or give "
                        f"{home.CACHE_VARIABLE} another folder."
                    )
                _tell(hear, _size(entry.with_name(entry.name + _PART)), wanted.nbytes)
                time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(lock)

    def entries(self) -> list[FetchedEntry]:
        """All sets, those used last first."""
        found = []
        for name in sorted(_names(self.folder)):
            if _NAME.fullmatch(name):
                path = self.folder / name
                with suppress(OSError, RequestError):  # another process has removed it, or only begins it
                    facts, used_at = read_json(path / _FACTS), _lock_file(path).stat().st_mtime
                    found.append(FetchedEntry(path, _size(path), used_at, facts))
        return sorted(found, key=lambda entry: -entry.used_at)

    def clear(self) -> list[FetchedEntry]:
        """Remove all sets but those in use; what was removed."""
        return [entry for entry in self.entries() if self._remove(entry.path)]

    def _remove(self, path: Path) -> bool:
        """Whether a set is gone: not while it is used."""
        with lock_of(_lock_file(path)) as state:
            if state != "held":
                return False
            doomed = path
            if path == _unpart(path):
                # Renamed first: a process that dies while it removes must not leave a set that looks whole.
                doomed = path.with_name(path.name + _PART)
                shutil.rmtree(doomed, ignore_errors=True)
                with suppress(FileNotFoundError):
                    os.rename(path, doomed)
            shutil.rmtree(doomed, ignore_errors=True)
            return not doomed.exists()

    def _fetch(self, wanted: StoredSet, entry: Path, hear: Hear) -> None:
        """Make an entry; the caller has its lock alone."""
        part = entry.with_name(entry.name + _PART)
        if entry.exists():  # and some of its files are not, which a purge of old files removed
            shutil.rmtree(part, ignore_errors=True)
            os.rename(entry, part)
        places = {one: part / _DATA / one.name for one in wanted.objects}
        for folder in dict.fromkeys(place.parent for place in places.values()):
            folder.mkdir(parents=True, exist_ok=True)
        for file in set((part / _DATA).rglob("*")) - set(places.values()):
            if file.is_file():  # of a process that was killed while it read
                file.unlink()
        write_json(part / _FACTS, {"url": wanted.url, "objects": len(wanted.objects)})
        self._take_over(wanted, places)
        missing = {one: place for one, place in places.items() if not _is_whole(place, one)}
        self._require_room(wanted, sum(one.nbytes for one in missing), entry)
        _read_all(wanted, missing, hear)
        if not all(_is_whole(place, one) for one, place in missing.items()):
            # Else they would be fetched again, and again.
            raise RequestError(
                f"The file system of {self.folder} keeps no exact times of files: set {home.CACHE_VARIABLE} to a "
                "folder on another."
            )
        for folder in {parent for place in places.values() for parent in (place.parent, *place.parent.parents)}:
            if folder.is_relative_to(part):
                sync_folder(folder)
        os.rename(part, entry)
        sync_folder(self.folder)

    def _take_over(self, wanted: StoredSet, places: dict[StoredObject, Path]) -> None:
        """Link what earlier states of the place have in common with this one."""
        for other in self.entries():
            if other.facts.get("url") != wanted.url:
                continue
            for one, place in places.items():
                if not place.exists() and _is_whole(earlier := other.path / _DATA / one.name, one):
                    with suppress(OSError):  # removed meanwhile, or a file system without links
                        os.link(earlier, place)

    def _require_room(self, wanted: StoredSet, missing: int, entry: Path) -> None:
        """Remove what was used longest ago until a set is within the bound.

        Raises:
            RequestError: It is not, or the disk has no room for it.
        """
        place = wanted.url.partition("?")[0]
        if wanted.nbytes > self.limit_bytes:
            raise RequestError(
                f"{place} holds {amount(wanted.nbytes)}, and fetched data may take {self.limit_bytes / 1e9:g} GB: set "
                f"{LIMIT_VARIABLE} to more gigabytes."
            )
        others = [other for other in self.entries() if _unpart(other.path) != entry]
        over = sum(other.nbytes for other in others) + wanted.nbytes - self.limit_bytes
        for other in reversed(others):
            if over <= 0 and missing <= shutil.disk_usage(self.folder).free:
                break
            if self._remove(other.path):
                over -= other.nbytes
        free = shutil.disk_usage(self.folder).free
        if missing > free:
            raise RequestError(
                f"{place} takes {amount(missing)} more than is here, and {self.folder} has {amount(free)} free: free "
                f"some space, or set {home.CACHE_VARIABLE} to a folder on a larger disk."
            )


def _read_all(wanted: StoredSet, missing: dict[StoredObject, Path], hear: Hear) -> None:
    """Fetch objects, several at a time; each gets its name when it is durable."""
    store, broken, guard = ObjectStore(wanted.url), Event(), Lock()
    total, done = wanted.nbytes, wanted.nbytes - sum(one.nbytes for one in missing)

    def heard(nbytes: int) -> None:
        nonlocal done
        if broken.is_set():
            raise InterruptedError
        with guard:
            done += nbytes
            _tell(hear, done, total)

    def read(one: StoredObject, place: Path) -> None:
        temporary = partial_name(place)
        try:
            store.read(one, temporary, heard)
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch") as threads:
        readings = [threads.submit(read, one, place) for one, place in missing.items()]
        try:
            ended, _ = wait(readings, return_when=FIRST_EXCEPTION)
            for reading in ended:
                reading.result()
        finally:
            # After a fault or Ctrl-C the others end at their next piece, not at the end of their object.
            broken.set()
            threads.shutdown(cancel_futures=True)


def _tell(hear: Hear, done: int, total: int) -> None:
    hear(min(-(-done // _MEGABYTE), -(-total // _MEGABYTE)), -(-total // _MEGABYTE))


def _missing(wanted: StoredSet, entry: Path) -> list[StoredObject]:
    """Objects that are not, or not as they are now, in an entry."""
    return [one for one in wanted.objects if not _is_whole(entry / _DATA / one.name, one)]


def _is_whole(file: Path, one: StoredObject) -> bool:
    """Whether a file is an object as it is now."""
    try:
        status = file.stat()
    except OSError:
        return False
    # 0: the store does not say when it was written.
    return status.st_size == one.nbytes and one.mtime_ns in (0, status.st_mtime_ns)


def _unpart(path: Path) -> Path:
    """The name that a set has when it is whole."""
    return path.with_name(path.name.removesuffix(_PART))


def _lock_file(path: Path) -> Path:
    whole = _unpart(path)
    return whole.with_name(whole.name + _LOCK)


def _names(folder: Path) -> Sequence[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _size(folder: Path) -> int:
    def sizes() -> Iterator[int]:
        for path, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):
                    yield os.stat(os.path.join(path, name)).st_size

    return sum(sizes())
