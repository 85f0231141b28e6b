"""Processes that work on one run together: each has a file there that it touches as long as it lives."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from spectral_search.errors import RequestError
from spectral_search.places import nearest_folder, partial_name, writing
from spectral_search.record.durable import read_json, write_json
from spectral_search.record.file_lock import lock_of
from spectral_search.record.manifest import same_process
from spectral_search.record.paths import RunPaths

_BEAT_SECONDS, _SILENT_SECONDS = 5.0, 60.0
"""How often a process shows that it lives; after how long without that one of another host is taken for dead."""


def require_locks(paths: RunPaths) -> None:
    """Refuse a run, begun or not, on a file system on which processes cannot keep out of each other's way.

    Raises:
        RequestError: It has no locks, or cannot be written.
    """
    with writing(paths.folder):
        file = partial_name(nearest_folder(paths.folder) / "lock")
        try:
            with lock_of(file) as state:
                if state == "none":
                    raise no_locks(paths)
        finally:
            file.unlink(missing_ok=True)


def no_locks(paths: RunPaths) -> RequestError:
    """That a file system has no locks, in a sentence."""
    return RequestError(
        f"The file system of {paths.root} has no locks, so that processes cannot work on one run together: choose "
        "another results folder, or `run` without --join."
    )


@contextmanager
def joining(paths: RunPaths) -> Iterator[None]:
    """Be one of the processes that work on a run."""
    paths.joiners_dir.mkdir(exist_ok=True)
    host, process = socket.gethostname(), psutil.Process()
    file = paths.joiners_dir / f"{host}-{process.pid}.json"
    write_json(file, {"host": host, "pid": process.pid, "process_started": process.create_time()})
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            with suppress(OSError):
                os.utime(file)

    thread = threading.Thread(target=beat, name="joiner", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        file.unlink(missing_ok=True)


def others_live(paths: RunPaths, now: float | None = None) -> bool:
    """Whether a process but this one works on a run together with others, by its file."""
    now = time.time() if now is None else now
    for file in paths.joiners_dir.glob("*.json"):
        # Its process may remove the file at any moment.
        with suppress(OSError, RequestError, KeyError):
            known = read_json(file)
            # Processes of another host cannot be looked for: only their beats tell.
            if known["host"] != socket.gethostname():
                if now - file.stat().st_mtime < _SILENT_SECONDS:
                    return True
            elif known["pid"] != os.getpid() and same_process(known["pid"], known["process_started"]):
                return True
    return False
