"""A search that several processes work on together without Ray, such as the tasks of a job array.

Each trains trials in this process, taken from the one study. When none is left to be trained, the first to notice
re-tests the finalists and exports the winner; the others leave.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from spectral_search.errors import RequestError, RunError
from spectral_search.record.file_lock import lock_of
from spectral_search.record.joiners import joining, others_live
from spectral_search.record.manifest import Manifest, RunState
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.run.driver import (
    Surroundings,
    device_of,
    finish,
    opened_study,
    prepared_here,
    told_plainly,
)
from spectral_search.run.inline_executor import run_inline
from spectral_search.run.plan import Plan
from spectral_search.run.run_lock import Stopping
from spectral_search.run.shared_study import SharedStudy, locked

_WAIT_SECONDS = 1.0


def join(plan: Plan, paths: RunPaths, around: Surroundings, sleep: Callable[[float], None] = time.sleep) -> RunRecord:
    """Work on a run together with other processes, until no trial is left.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP came; the trials of this process are the others' to go on with.
        RequestError: A process works on the run alone, or the data cannot be used.
        RunError: The disk is full.
    """
    stopping = Stopping(f"Stopped at once; everything recorded is kept, and others go on with {paths.name}.")
    started = time.monotonic()
    with _beside(paths), joining(paths), told_plainly(paths):
        _claim(paths)
        try:
            with stopping.listening(), around.view:
                done = _work(plan, paths, around, stopping, sleep)
        except (KeyboardInterrupt, RunError):
            _release(paths, "interrupted", started)
            raise
        if not done:
            around.say("No trial is left for this process: another one finishes the run.")
    return RunRecord.load(paths)


def _work(
    plan: Plan, paths: RunPaths, around: Surroundings, stopping: Stopping, sleep: Callable[[float], None]
) -> bool:
    """Train, then finish; whether this process finished the run."""
    started = time.monotonic()
    with opened_study(plan, paths, around, SharedStudy) as (study, progress):
        stopping.on_stop.append(lambda: study.halt(KeyboardInterrupt()))
        try:
            prepared = prepared_here(plan, paths, around)
            while True:
                run_inline(
                    plan.spec, paths, study, prepared.dataset, device_of(plan), plan.slots, sorted(study.orphans)
                )
                stopping.check()
                if not study.others_train():
                    break
                sleep(_WAIT_SECONDS)
        finally:
            study.leave()
        with _alone_at(paths) as first:
            if not first or Manifest.load(paths.manifest_json).state != "running":
                return False
            found = finish(plan, paths, around, prepared, progress)
            _release(paths, "finished" if found else "failed", started, last=True)
            return True


@contextmanager
def _beside(paths: RunPaths) -> Iterator[None]:
    """Keep out of the run those that work on it alone.

    Raises:
        RequestError: One does.
    """
    with ExitStack() as held:
        with paths.going_on():
            state = held.enter_context(lock_of(paths.lock, shared=True))
        if state == "taken":
            raise RequestError(
                f"A process works on run {paths.name} alone: follow it with `spectral-search status {paths.name}`, or "
                "`stop` it and join again."
            )
        yield


@contextmanager
def _alone_at(paths: RunPaths) -> Iterator[bool]:
    """The finish; whether this process is the one that is at it."""
    with lock_of(paths.finish_lock) as state:
        yield state == "held"


def _claim(paths: RunPaths) -> None:
    """Enter this process as the one that works on the run, where no other does."""
    with locked(paths):
        if not others_live(paths):
            manifest = Manifest.load(paths.manifest_json)
            manifest.claim(earlier_wall_seconds=manifest.wall_seconds)
            manifest.save(paths.manifest_json)


def _release(paths: RunPaths, state: RunState, started: float, *, last: bool = False) -> None:
    """Enter how the run ended, where no other process goes on with it."""
    with locked(paths):
        if last or not others_live(paths):
            manifest = Manifest.load(paths.manifest_json)
            manifest.release(state, manifest.wall_seconds + time.monotonic() - started)
            manifest.save(paths.manifest_json)
