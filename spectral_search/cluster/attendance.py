"""What the process of a job does beside its search: its log, a sign of life, an ear for `stop`."""

import codecs
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from spectral_search.cluster.job_record import BEAT_SECONDS, JobRecord
from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line
from spectral_search.record.file_lock import lock_of
from spectral_search.record.manifest import utc_now
from spectral_search.record.paths import RunPaths

_LOOK_SECONDS = 1.0
"""How often it looks whether it is to stop."""


@contextmanager
def attending(paths: RunPaths, job: JobRecord) -> Iterator[None]:
    """Be the process of a job on its cluster: the only one, heard by `stop`, with its output in the job's log.

    Raises:
        RequestError: Another process is that already.
    """
    with heard(paths), _logged(paths):
        print(f"--- {utc_now()}: job {job.submission_id or paths.name} begins", flush=True)
        yield


@contextmanager
def heard(paths: RunPaths) -> Iterator[None]:
    """Be the only process of a job, wherever it was started: others see that it lives, and `stop` reaches it.

    Raises:
        RequestError: Another process is that already.
    """
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(paths, over), name="attendance", daemon=True)
    with _alone(paths):
        try:
            paths.job_stop.unlink(missing_ok=True)  # that was for the process before
            paths.job_alive.touch()
            watcher.start()
            yield
        finally:
            over.set()
            if watcher.is_alive():
                watcher.join()
            paths.job_alive.unlink(missing_ok=True)


@contextmanager
def _alone(paths: RunPaths) -> Iterator[None]:
    paths.job_dir.mkdir(parents=True, exist_ok=True)
    with lock_of(paths.job_lock) as state:
        if state == "taken":
            raise RequestError(f"Another process carries out job {paths.name} already.")
        yield


def _watch(paths: RunPaths, over: threading.Event) -> None:
    beat, asked = time.monotonic(), False
    while not over.wait(_LOOK_SECONDS):
        # A shared file system that is away for a moment must not end the watch: the next second tries again.
        with suppress(OSError):
            if time.monotonic() - beat >= BEAT_SECONDS:
                beat = time.monotonic()
                paths.job_alive.touch()
            if not asked and paths.job_stop.exists():
                # Keeping its state may take longer than silence is forgiven, so the beats go on.
                asked = True
                # As Ray itself stops a job: one way alone leads to the kept state.
                os.kill(os.getpid(), signal.SIGTERM)


def ask_to_stop(paths: RunPaths, who: str) -> None:
    """Ask the process of a job, wherever it runs, to keep its state and end: it looks every second."""
    append_line(paths.job_stop, who)


def who_asked(paths: RunPaths) -> str | None:
    """Who asked the job to stop; None where nobody did."""
    try:
        return paths.job_stop.read_text().strip().splitlines()[-1]
    except (OSError, IndexError):
        return None


@contextmanager
def _logged(paths: RunPaths) -> Iterator[None]:
    """Let all that this process writes go to the job's log, and from there to where it went before.

    The file comes first, so that what a killed process said last is in it; the cluster's own log gets a copy.
    """
    descriptor = os.open(paths.job_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    # A job that goes on appends to the log of the process before, of which the cluster's log needs no copy.
    start = os.fstat(descriptor).st_size
    before = [os.dup(number) for number in (1, 2)]
    over = threading.Event()
    copier = threading.Thread(target=_copy, args=(paths, start, before[0], over), name="log", daemon=True)
    sys.stdout.flush()
    sys.stderr.flush()
    for number in (1, 2):
        # The descriptors and not sys.stdout: what native code and child processes print must be in the log too.
        os.dup2(descriptor, number)
    os.close(descriptor)
    copier.start()
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        over.set()
        copier.join()
        for number, old in zip((1, 2), before, strict=True):
            os.dup2(old, number)
            os.close(old)


def _copy(paths: RunPaths, start: int, target: int, over: threading.Event) -> None:
    with suppress(OSError), open(paths.job_log, "rb") as log:
        log.seek(start)
        ended = False
        while not ended:
            # Asked before reading, so that the last round still copies all that was written until the end.
            ended = over.wait(_LOOK_SECONDS / 2)
            while chunk := log.read(1 << 16):
                os.write(target, chunk)


def growing(paths: RunPaths, is_over: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> Iterator[str]:
    """What the log of a job holds, and what is added to it until the job is over.

    Args:
        paths: The run.
        is_over: Whether nothing will be added any more.
        sleep: Waits so many seconds.
    """
    position, decoder = 0, codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        ended = is_over()  # before reading: what is written in between is then read all the same
        with suppress(FileNotFoundError), open(paths.job_log, "rb") as log:
            log.seek(position)
            read = log.read()
            position += len(read)
            # A character may be half written: the rest of it comes with the next reading.
            if text := decoder.decode(read, final=ended):
                yield text
        if ended:
            return
        sleep(_LOOK_SECONDS / 2)
