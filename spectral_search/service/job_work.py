"""The process of a job: it waits for its turn, searches, and writes down what became of it."""

import os
import socket
import sys
import traceback
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search import __version__
from spectral_search.cluster.attendance import attending, heard, who_asked
from spectral_search.cluster.job_record import Continuation, JobRecord, JobState
from spectral_search.cluster.ray_jobs import DEFAULT_ADDRESS
from spectral_search.cluster.submission import received, require_same_version
from spectral_search.cluster.turn import Room, unfinished, wait_until
from spectral_search.errors import RequestError, RunError
from spectral_search.places import owner_writes
from spectral_search.record.paths import RunPaths, results_root
from spectral_search.service import plans, retries, runs
from spectral_search.service.jobs import require_over
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.service.submissions import options_of

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.plan import Plan


@contextmanager
def attended(name: str, results: str | None) -> Iterator[JobRecord]:
    """Be the process of a job on its cluster: what it writes goes to the job's log.

    Raises:
        RequestError: There is no such job, or another process carries it out.
    """
    paths = RunPaths(results_root(results).absolute(), name)
    with owner_writes():
        job = received(paths)
        with attending(paths, job):
            yield job


def work(job: JobRecord, shown: Shown, results: str | None, command: Sequence[str] = ()) -> "RunRecord":
    """Carry out a job on the cluster that this process was started on: wait for its turn, then search.

    Raises:
        RequestError: As `run` and `resume`.
        RunError: The package is of another version, or the search failed.
        KeyboardInterrupt: It was asked to stop; everything is kept.
    """
    paths = RunPaths(results_root(results).absolute(), job.name)
    with _entered(paths, job):
        require_same_version(job, __version__, sys.executable)
        # The data may lie elsewhere on this node: what it sets itself stands.
        os.environ.update({key: value for key, value in job.environment.items() if key not in os.environ})
        # Relative paths of the spec start there; a node that does not have the folder can still serve whole ones.
        if Path(job.working_folder).is_dir():
            os.chdir(job.working_folder)
        job.cluster = os.environ.get("RAY_ADDRESS")
        wait_until(lambda: unfinished(job, paths), job, paths)
        options = _options_of(job, paths, address=job.cluster or "auto")
        options = replace(
            options,
            room=lambda made: _room(made, job, paths),
            stranded=lambda asked: _enter_stranded(job, paths, asked),
        )
        return _search(paths, job, options, shown, command)


def _room(made: "Plan", job: JobRecord, paths: RunPaths) -> Sequence[Mapping[str, float]]:
    """Wait until the cluster has room for a search, and take it; what it may use of each node."""
    from spectral_search.run.ray_session import look_at_cluster

    if paths.exists():
        job.asked = Continuation()  # by now it is in the run's own record
    address = made.spec.resources.address or "auto"
    room = Room(
        job,
        paths,
        lambda: look_at_cluster(address),
        made.share_of,
    )
    wait_until(room.reason, job, paths)
    return room.left


def _enter_stranded(job: JobRecord, paths: RunPaths, asked: str | None) -> None:
    """Enter that trials wait for a node, where none that lives has what they ask for, or that they do so no more."""
    if job.enter("running", f"it waits for a node with {asked}, which none that lives has" if asked else None):
        job.save(paths)


def _options_of(job: JobRecord, paths: RunPaths, **changes: Any) -> RunOptions:
    return replace(options_of(job), name=job.name, results=str(paths.root), reserved=True, **changes)


def _search(paths: RunPaths, job: JobRecord, options: RunOptions, shown: Shown, command: Sequence[str]) -> "RunRecord":
    """Begin a job's run, or go on with it as it was asked for."""
    asked = job.asked
    if asked.failed is not None:
        return retries.retry(paths.name, replace(options, data_root=()), shown, asked.failed, command)
    if paths.exists():
        # Trials and epochs of the submitted options are in its spec.
        extended = replace(options, trials=asked.trials, epochs=asked.epochs, data_root=())
        return runs.resume(paths.name, extended, shown, command)
    options = replace(options, trials=asked.trials or options.trials, epochs=asked.epochs or options.epochs)
    made = plans.plan(_spec_of(paths), options, shown, dry_run=False)
    from spectral_search.run.plan_view import render_plan

    shown.console.print(render_plan(made))
    if options.room is not None:  # before the run begins: until then its name says `waiting`
        left = options.room(made)
        options = replace(options, room=lambda made: left)
    # Where it is carried out is no part of what it computes: whoever goes on with it may be elsewhere.
    begun = replace(made, spec=made.spec.override({"resources.address": None}))
    name = runs.begin(begun, paths.name, options, shown, command)
    job.asked = Continuation()
    job.save(paths)
    return runs.search(made, name, options, shown)


def _spec_of(paths: RunPaths) -> str:
    """The spec as it was submitted: where it lay, if it lies there unchanged, else the job's own copy."""
    job, copy = JobRecord.load(paths.job_json), paths.job_spec
    with suppress(OSError):
        if job.spec_path and Path(job.spec_path).read_text(encoding="utf-8-sig") == copy.read_text():
            return job.spec_path
    return str(copy)


@contextmanager
def _entered(paths: RunPaths, job: JobRecord) -> Iterator[None]:
    """Enter this process as the job's, and in the end what became of it.

    Raises:
        RunError: It failed for a reason that nobody foresaw; the traceback is in the log.
    """
    job.take()
    job.save(paths)
    try:
        yield
    except KeyboardInterrupt:
        _leave(paths, job, "stopped", who_asked(paths) or "by a signal, as when a cluster stops a job")
        raise
    except (RequestError, RunError) as error:
        _leave(paths, job, "failed", str(error))
        raise
    except Exception as error:
        # It goes to the log; the record has one line for it.
        traceback.print_exc()
        told = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"
        _leave(paths, job, "failed", told)
        raise RunError(f"{told}. The log has more: `spectral-search logs {job.name}`.") from error
    else:
        found = runs.status(paths.name, str(paths.root))
        why = next((trial.error for trial in found.trials if trial.error), None) if found.state == "failed" else None
        _leave(paths, job, "finished" if found.state == "finished" else "failed", why)


def _leave(paths: RunPaths, job: JobRecord, state: JobState, why: str | None) -> None:
    job.claim, job.queued = {}, False
    job.enter(state, why)
    job.save(paths)


def resume(name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> "RunRecord":
    """Go on with a run, submitted as a job or not: here, or on a cluster that is joined.

    Raises:
        RequestError: As `runs.resume`; or the job is not over.
        KeyboardInterrupt: It was interrupted again.
    """
    paths = RunPaths(results_root(options.results), name)
    if not paths.job_json.is_file():
        return runs.resume(name, options, shown, command)
    paths.require_own()
    record = require_over(paths).job
    _require_here(paths, record)
    asked = Continuation(trials=options.trials, epochs=options.epochs) or record.asked
    options = replace(options, trials=asked.trials, epochs=asked.epochs)
    if paths.exists() and runs.status(name, options.results).state == "finished" and not asked:
        return runs.resume(name, options, shown, command)
    with _going_on_here(paths, record):
        if asked.failed is not None:
            return retries.retry(name, options, shown, asked.failed, command)
        if paths.exists():
            return runs.resume(name, options, shown, command)
        given = {key: value for key, value in vars(options).items() if value != getattr(RunOptions, key)}
        return _search(paths, record, _options_of(record, paths, **given), shown, command)


def retry(
    name: str, options: RunOptions, shown: Shown, trials: Collection[int] = (), command: Sequence[str] = ()
) -> "RunRecord":
    """Run failed trials of a run again, submitted as a job or not: here, or on a cluster that is joined.

    Raises:
        RequestError: As `retries.retry`; or the job is not over.
        KeyboardInterrupt: It was interrupted.
    """
    paths = RunPaths(results_root(options.results), name)
    if not paths.job_json.is_file():
        return retries.retry(name, options, shown, trials, command)
    paths.require_own()
    record = require_over(paths).job
    _require_here(paths, record)
    from spectral_search.run.retry import failed_trials

    failed_trials(runs.status(name, options.results), trials)  # what is refused leaves the job as it was
    with _going_on_here(paths, record):
        return retries.retry(name, options, shown, trials, command)


def _require_here(paths: RunPaths, record: JobRecord) -> None:
    """Refuse to begin here anew what lies where this machine does not see it."""
    if record.is_elsewhere(paths) and not paths.exists():
        raise RequestError(
            f"{paths.name} lies in {record.results} of the cluster, which is not seen here: let the cluster go on with "
            f"it (--address {record.address or DEFAULT_ADDRESS}), or `run` its spec here under another name."
        )


@contextmanager
def _going_on_here(paths: RunPaths, record: JobRecord) -> Iterator[None]:
    record.address = record.submission_id = record.cluster = None
    record.asked = Continuation()
    with owner_writes(), heard(paths), _entered(paths, record):
        record.enter("running", f"gone on with on {socket.gethostname()}")
        record.save(paths)
        yield
