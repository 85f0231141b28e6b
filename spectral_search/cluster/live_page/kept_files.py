"""Reads the files of a run again and again, of each only what is new since the reading before."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from spectral_search.errors import RequestError
from spectral_search.record.database import sqlite_file
from spectral_search.record.durable import parse_lines
from spectral_search.record.manifest import Manifest
from spectral_search.record.run_records import RunFiles, TrialRecord, joined_trial
from spectral_search.record.stored_trials import StudyReader, StudyTrial
from spectral_search.task.metric import Metric

T = TypeVar("T")
_LOCK_WAIT_S = 0.5
"""How long a reading waits for a search that is just writing; the next one comes two seconds later."""
_OVERLAP_BYTES = 64
"""So much of what was read is read again with what is new: a file that was edited in place is read from its start."""


class Mark(NamedTuple):
    """What tells one content of a file from another without reading it; all zero where there is no file."""

    file: int = 0
    size: int = 0
    changed_ns: int = 0

    @classmethod
    def of(cls, path: Path) -> "Mark":
        """That of a file now."""
        try:
            found = os.stat(path)
        except OSError:
            return cls()
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


class GrowingFile:
    """The lines of a progress file, which grows at its end.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = Mark()
        self._end = 0
        self._overlap = b""
        self.records: list[dict[str, Any]] = []

    def refresh(self) -> bool:
        """Read what is new; whether anything was.

        Raises:
            RequestError: The file is damaged or cannot be read; `records` has what was read before.
        """
        mark = Mark.of(self._path)
        if mark == self._mark:
            return False
        # Another file has the name now, or this one was cut: what was read before need not be in it.
        if mark.file != self._mark.file or mark.size < self._end:
            self._forget()
        fresh = self._new_bytes() if mark.file else b""
        lines = parse_lines(fresh, self._path, before=len(self.records))
        self.records += lines.records
        # A last line that is just being written, or will be cut off, is read again the next time.
        self._overlap = (self._overlap + fresh[: lines.size])[-_OVERLAP_BYTES:]
        self._end += lines.size
        # Last of all, and as it was before the reading: after a fault, or if the file grew meanwhile, it is read again.
        self._mark = mark
        return True

    def _new_bytes(self) -> bytes:
        try:
            with open(self._path, "rb") as file:
                file.seek(self._end - len(self._overlap))
                if file.read(len(self._overlap)) == self._overlap:
                    return file.read()
                self._forget()
                file.seek(0)
                return file.read()
        except OSError as fault:
            raise RequestError(f"{self._path} cannot be read ({fault.strerror}).") from None

    def _forget(self) -> None:
        self._end, self._overlap, self.records = 0, b"", []


class KeptFiles(RunFiles):
    """Keeps what it read of one run. Trials that did not change are given as the very same objects again."""

    def __init__(self) -> None:
        self._values: dict[Path, tuple[Mark, Any]] = {}
        self._reader: tuple[str, StudyReader] | None = None
        self._found: tuple[Mark, list[StudyTrial] | None] | None = None
        self._progress: dict[Path, GrowingFile] = {}
        self._joined: dict[Path, tuple[StudyTrial, TrialRecord]] = {}

    def manifest(self, path: Path) -> Manifest:
        return self._unless_changed(path, super().manifest)

    def spec(self, path: Path) -> dict[str, Any]:
        return self._unless_changed(path, super().spec)

    def study(self, url: str, name: str) -> list[StudyTrial] | None:
        file = sqlite_file(url)
        mark = Mark() if file is None else Mark.of(file)  # a server's database is asked each time
        if self._found is not None and mark.file and mark == self._found[0]:
            return self._found[1]
        # If another file takes the database's place, an open connection would go on reading the old one.
        key = f"{url} {name} {mark.file}"
        if self._reader is None or self._reader[0] != key:
            self._reader = key, StudyReader(url, name, lock_wait_s=_LOCK_WAIT_S)
        found = self._reader[1].trials()
        # By the mark from before the reading: what was written meanwhile is found the next time.
        self._found = mark, found
        return found

    def trial(self, known: StudyTrial, progress: Path, objective: Metric, notes: list[str]) -> TrialRecord:
        file = self._progress.setdefault(progress, GrowingFile(progress))
        is_new = False
        try:
            is_new = file.refresh()
        except RequestError as fault:
            notes.extend(fault.faults)
        before, joined = self._joined.get(progress, (None, None))
        if is_new or before is not known or joined is None:
            joined = joined_trial(known, file.records, objective)
            self._joined[progress] = known, joined
        return joined

    def _unless_changed(self, path: Path, read: Callable[[Path], T]) -> T:
        mark = Mark.of(path)
        before = self._values.get(path)
        if before is None or before[0] != mark:
            before = mark, read(path)
            self._values[path] = before
        value: T = before[1]
        return value
