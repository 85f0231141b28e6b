"""What was made of examples and can be made again: files of arrays in a folder that processes and nodes share.

An entry is found by a key that holds all it depends on, so that it is right or not there. It is written as a whole
(`array_file`); one that is damaged is removed and made again; one that is used is not removed. The folder is bounded:
what was used longest ago goes first.

    cache = ArrayCache.here()
    found = cache.recall("components", key)
    if found is None:
        cache.keep("components", key, arrays, facts)
"""

import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spectral_search import __version__
from spectral_search.errors import RequestError
from spectral_search.record.array_file import (
    ArrayFile,
    DamagedFileError,
    open_array_file,
    read_facts,
    unused,
    write_array_file,
)
from spectral_search.record.row_hash import digest_texts
from spectral_search.spec import home_folder as home

_FOLDER = "signal"
LIMIT_VARIABLE = "SPECTRAL_SEARCH_CACHE_GB"
_LIMIT_GB = 4.0
_ENDING = ".safetensors"
_NAME = re.compile(r"(?P<kind>[a-z]+)-(?P<key>[0-9a-f]{32})\.safetensors")
_LEFTOVER = re.compile(r"\.[a-z]+-[0-9a-f]{32}\.safetensors\.[0-9a-f]+\.tmp")
_YOUNG_SECONDS = 60.0
"""A file of this age that has no lock may be one whose writer has not come to lock it."""


def key_of(*parts: object) -> str:
    """A key that is another for another part; also for another version of this package."""
    # With the length of each, since a part may hold the newline that texts are joined by.
    return digest_texts([__version__, *(f"{len(text)} {text}" for text in map(str, parts))])


@dataclass(frozen=True)
class Entry:
    """One entry of the folder.

    Attributes:
        path: Its file.
        kind: What it is.
        nbytes: Bytes of the file.
        used_at: When it was used last, seconds since the epoch.
    """

    path: Path
    kind: str
    nbytes: int
    used_at: float

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(_ENDING)

    @property
    def in_use(self) -> bool:
        """Whether a process uses it now, or that cannot be known."""
        try:
            with unused(self.path) as free:
                return not free
        except OSError:
            return True

    @property
    def facts(self) -> dict[str, Any]:
        """What its writer said of it; empty where it is damaged."""
        try:
            return read_facts(self.path)
        except (OSError, DamagedFileError):
            return {}


class ArrayCache:
    """A folder of entries.

    Args:
        folder: Made when the first entry is kept.
        limit_bytes: What all entries together may take; 0 keeps none.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    @classmethod
    def here(cls) -> "ArrayCache | None":
        """That of this user; None where there is no folder for it.

        Raises:
            RequestError: What the environment says of it cannot be.
        """
        limit_bytes = home.cache_limit(LIMIT_VARIABLE, _LIMIT_GB, "compressed examples")
        try:
            return cls(home.cache_folder() / _FOLDER, limit_bytes)
        except RequestError:
            # A folder that was asked for must not be passed over in silence.
            if os.environ.get(home.CACHE_VARIABLE):
                raise
            return None

    def recall(self, kind: str, key: str, told: list[str]) -> ArrayFile | None:
        """An entry, mapped into memory; None where there is none that is whole.

        Args:
            kind: Letters that say what it is.
            key: From `key_of`.
            told: Gets a sentence where an entry was damaged.
        """
        path = self._path(kind, key)
        try:
            found = open_array_file(path)
            # The time of change stands for that of use: many file systems are mounted without times of access.
            with suppress(OSError):  # in a folder that is another's
                os.utime(path)
            return found
        except OSError:
            return None
        except DamagedFileError:
            told.append(f"The cached {path.name} was damaged: it is made again.")
        self._remove(path)  # not above, where the fault still holds what was mapped
        return None

    def keep(self, kind: str, key: str, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> str | None:
        """Keep an entry if it can be kept, others removed for it where need be; an older one of the key goes.

        Returns:
            Why it is not kept; None where it is.
        """
        size = sum(array.nbytes for array in arrays.values())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            path = self._path(kind, key)
            if path.exists() and not self._remove(path):
                return None  # somebody uses what another process made of the same examples meanwhile
            if not self._make_room(size):
                return f"the cache may hold {self.limit_bytes / 1e9:g} GB ({LIMIT_VARIABLE})"
            write_array_file(path, arrays, facts)
        except OSError as error:
            return f"{self.folder} cannot be written: {error.strerror}"
        return None

    def entries(self) -> list[Entry]:
        """All entries, those used last first."""
        found = []
        for path, match in self._files(_NAME):
            with suppress(OSError):  # another process has removed it
                status = path.stat()
                found.append(Entry(path, match["kind"], status.st_size, status.st_mtime))
        return sorted(found, key=lambda entry: -entry.used_at)

    def clear(self) -> list[Entry]:
        """Remove all entries but those in use.

        Returns:
            What was removed.
        """
        self._sweep()
        return [entry for entry in self.entries() if self._remove(entry.path)]

    def _make_room(self, size: int) -> bool:
        """Remove what was used longest ago until so many bytes more are within the bound; whether they are."""
        entries = self.entries()
        over = sum(entry.nbytes for entry in entries) + size - self.limit_bytes
        if size > self.limit_bytes:
            return False
        for entry in reversed(entries):
            if over <= 0:
                break
            if self._remove(entry.path):
                over -= entry.nbytes
        return over <= 0

    def _remove(self, path: Path) -> bool:
        """Whether a file is gone: not while it is used."""
        try:
            with unused(path) as free:
                # Within the lock: who has opened the file meanwhile waits for it, and then sees that it has no name.
                if free:
                    os.unlink(path)
                return free
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def _sweep(self) -> None:
        """Remove what processes that died left half written."""
        for path, _ in self._files(_LEFTOVER):
            with suppress(OSError):
                # A living writer holds a lock, which `_remove` minds; the age covers the moment before it has it.
                if time.time() - path.stat().st_mtime > _YOUNG_SECONDS:
                    self._remove(path)

    def _files(self, pattern: re.Pattern[str]) -> Sequence[tuple[Path, re.Match[str]]]:
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return []
        matches = ((self.folder / name, pattern.fullmatch(name)) for name in names)
        return [(path, match) for path, match in matches if match is not None]

    def _path(self, kind: str, key: str) -> Path:
        return self.folder / f"{kind}-{key}{_ENDING}"
