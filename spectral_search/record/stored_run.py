"""A run as it is kept in an object store: what a moment of it held, named by one object that is written last.

    s3://BUCKET/RUNS/NAME/index.json       which object holds which file of the run, with its size and SHA-256
    s3://BUCKET/RUNS/NAME/files/PATH@...   a file, with ~ for / in its path: of one session in turns three objects
    s3://BUCKET/RUNS/NAME/about.txt        what this is, for people

What the index names, and what the one before named, is not written to: whoever reads sees one moment of the run, also
while the next is written, and after a writer that died in between. Nothing is ever removed, so that the keys need no
right to; what is no file of the run any more is emptied.
"""

import json
import os
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.places import sync_folder, writing
from spectral_search.record.durable import read_json, write_json
from spectral_search.record.fetching_folder import fetching_folder
from spectral_search.record.manifest import Manifest
from spectral_search.record.object_store import ObjectChangedError, ObjectStore, StoredObject
from spectral_search.record.paths import RunPaths, check_name

_INDEX, _ABOUT, _FILES = "index.json", "about.txt", "files"
_VERSION = 1
"""Of what the index says; another one is not read."""
_TURNS = 3
_FETCHES = 4
_READINGS, _READING_SECONDS = 4, 0.2
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class StoredFile:
    """A file of a run in a store.

    Attributes:
        name: Of the object, below the run's place.
        nbytes: Its size.
        sha256: Of what it holds.
    """

    name: str
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class RunIndex:
    """A moment of a run.

    Attributes:
        created_at: When the run began, which tells it from another of the same name.
        session: How many sessions have copied the run, the one that wrote it included: of two that do so at a time, the
            older one stops.
        writer: That session.
        at_unix_seconds: When.
        files: By path in the run's folder.
    """

    created_at: str
    session: int
    writer: str
    at_unix_seconds: float
    files: dict[str, StoredFile] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        return json.dumps({"version": _VERSION, **asdict(self)}, indent=1).encode()

    @classmethod
    def of(cls, content: bytes, url: str) -> "RunIndex":
        """Read one.

        Raises:
            RequestError: It is none, or of a version that is not known here.
        """
        try:
            document: dict[str, Any] = json.loads(content)
            if (version := document["version"]) != _VERSION:
                raise RequestError(
                    f"{url}/{_INDEX} has version {version!r}, and this package reads {_VERSION}: resume it with "
                    "the one that copied it."
                )
            files = {
                path: StoredFile(str(one["name"]), int(one["nbytes"]), str(one["sha256"]))
                for path, one in document["files"].items()
            }
            session, at_unix_seconds = int(document["session"]), float(document["at_unix_seconds"])
            found = cls(str(document["created_at"]), session, str(document["writer"]), at_unix_seconds, files)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise RequestError(f"{url}/{_INDEX} is not the index of a copied run: restore it.") from None
        for path, one in files.items():
            # What is read becomes files of this machine.
            if not (_is_plain(path) and _is_plain(one.name) and _SHA256.fullmatch(one.sha256)):
                raise RequestError(f"{url}/{_INDEX} names {path!r}, which is no file of a run: restore it.")
        return found


class StoredRun:
    """The place of a run in a store.

    Args:
        url: s3://BUCKET/RUNS/NAME.
        what: What gave it, such as "--copy-to".

    Raises:
        RequestError: The URL is none, or its last part cannot name a run.
    """

    def __init__(self, url: str, what: str) -> None:
        self.store = ObjectStore(url, what)
        self.url, self.name = self.store.url.rstrip("/"), check_name(self.store.place.name)
        # Whole: where a store is may stand behind the ?.
        self._resume = f"spectral-search resume {shlex.quote(url)}"

    def index(self) -> RunIndex | None:
        """What was copied last; None where nothing was.

        Raises:
            RequestError: The store cannot be asked, or what lies there is no index.
        """
        for left in reversed(range(_READINGS)):
            content = self.store.read_small(_INDEX)
            try:
                return None if content is None else RunIndex.of(content, self.url)
            except RequestError:
                # One that is replaced between the question for its size and its reading comes cut.
                if not left:
                    raise
                time.sleep(_READING_SECONDS)
        return None

    def write_index(self, index: RunIndex) -> None:
        """Let what was written be the run from now on."""
        content = index.to_bytes()
        self.store.write(_INDEX, BytesIO(content), len(content), lambda nbytes: None)

    def session_of(self, paths: RunPaths) -> int:
        """The last session of copying to this place that a run's folder knows of; 0 where it knows of none.

        Raises:
            RequestError: What says so is damaged.
        """
        return int(read_json(paths.copied_json).get(self.url, 0)) if paths.copied_json.is_file() else 0

    def keep_session(self, paths: RunPaths, session: int) -> None:
        """Let a run's folder know of a session."""
        known = read_json(paths.copied_json) if paths.copied_json.is_file() else {}
        write_json(paths.copied_json, {**known, self.url: session})

    def require_of(self, paths: RunPaths | None) -> None:
        """Refuse a place where another run lies, or a later moment of this one, or that cannot be written.

        Args:
            paths: The run that is to be copied; None where it is yet to begin.

        Raises:
            RequestError: It is refused, or the store does not answer or take anything.
        """
        index = self.index()
        created_at = None if paths is None else Manifest.load(paths.manifest_json).created_at
        # One without a trial is of a run that was refused when its data were read.
        has_trials = index is not None and any(path.startswith("trials/") for path in index.files)
        if index is not None and has_trials and index.created_at != created_at:
            raise RequestError(
                f"{self.url} holds another run of that name: `{self._resume}` goes on with it; or choose another "
                "place, or for a new run another --name."
            )
        if index is not None and paths is not None and index.session > self.session_of(paths):
            # What was trained there would be lost to what lies here, which is older.
            raise RequestError(
                f"Run {paths.name} was gone on with elsewhere, from its copy in {self.url}: `{self._resume}` with "
                "another --results goes on with what was trained there; or choose another place for copies of this."
            )
        # Written for people, and to see whether anything can be.
        told = f"A copy of a run. Go on with it: {self._resume}\n".encode()
        self.store.write(_ABOUT, BytesIO(told), len(told), lambda nbytes: None)

    def fetch(self, paths: RunPaths, hear: Callable[[int, int], None]) -> None:
        """Make the folder of a run of what was copied last.

        Args:
            paths: Where; nothing may lie there.
            hear: Told how many files are there and how many there will be.

        Raises:
            NameTakenError: Something lies there.
            RequestError: There is no copy, it is damaged, or the folder cannot be written.
        """
        paths.require_free()
        for left in reversed(range(_FETCHES)):
            try:
                self._fetch(paths, hear)
                return
            except ObjectChangedError:
                # A writer that is alive may have come to write to what an index names that was read long ago.
                if not left:
                    raise

    def _fetch(self, paths: RunPaths, hear: Callable[[int, int], None]) -> None:
        index = self.index()
        if index is None:
            self.store.objects()  # which tells of a bucket that is not there
            raise RequestError(f"{self.url} holds no copied run: name what --copy-to said, and the run's name.")
        with writing(paths.folder), fetching_folder(paths) as hidden:
            made = RunPaths(hidden, paths.name)
            for number, (path, one) in enumerate(sorted(index.files.items()), start=1):
                self._fetch_file(one, made.folder / path)
                hear(number, len(index.files))
            made.trials_dir.mkdir(parents=True, exist_ok=True)
            _let_go(made, index.at_unix_seconds)
            self.keep_session(made, index.session)
            for folder, _, _ in os.walk(made.folder):
                sync_folder(Path(folder))
            paths.require_unused()
            os.rename(made.folder, paths.folder)
            sync_folder(paths.root)

    def _fetch_file(self, one: StoredFile, file: Path) -> None:
        content = sha256()
        file.parent.mkdir(parents=True, exist_ok=True)
        self.store.read(StoredObject(str(self.store.place / one.name), one.nbytes, 0), file, lambda nbytes: None)
        with open(file, "rb") as read:
            while piece := read.read(1 << 20):
                content.update(piece)
        if content.hexdigest() != one.sha256:
            raise ObjectChangedError(f"{self.url}/{one.name} is not what was copied: it was changed or damaged.")


def objects_of(path: str, writer: str) -> list[str]:
    """The objects, below the run's place, in which one session keeps a file of a run in turns."""
    return [f"{_FILES}/{path.replace('/', '~')}@{writer}-{turn}" for turn in range(_TURNS)]


def _let_go(paths: RunPaths, at_unix_seconds: float) -> None:
    """Enter that no process works on a fetched run, whatever was true where it was copied."""
    manifest = Manifest.load(paths.manifest_json)
    if manifest.state == "running":
        spent = max(0.0, at_unix_seconds - (manifest.process_started or at_unix_seconds))
        manifest.release("interrupted", manifest.wall_seconds + spent)
        manifest.save(paths.manifest_json)


def _is_plain(path: str) -> bool:
    """Whether a text is a path that stays below the folder that it is in."""
    parts = PurePosixPath(path).parts
    return bool(parts) and str(PurePosixPath(path)) == path and ".." not in parts and not path.startswith("/")
