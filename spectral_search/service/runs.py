"""Runs: begun, carried out, gone on with, stopped, followed and listed."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from spectral_search.errors import RequestError
from spectral_search.places import owner_writes, require_own
from spectral_search.record.paths import NameTakenError, RunPaths, next_free_name, results_root
from spectral_search.service.recorded_run import RecordedData, recorded_data, recorded_plan, recorded_spec
from spectral_search.service.run_options import HERE, RunOptions
from spectral_search.service.shown import Shown
from spectral_search.service.stored_runs import copy_again, require_copy_place
from spectral_search.spec.load import load_spec
from spectral_search.spec.run import RunSpec

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord, RunSummary
    from spectral_search.run.driver import Surroundings
    from spectral_search.run.plan import Plan

_WATCH_SECONDS = 2.0


def run(made: "Plan", name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> "RunRecord":
    """Carry out a planned run.

    Args:
        made: From `plan(..., dry_run=False)`.
        name: From `run_name`; the record has the name that it got, see `begin`.
        options: The options it was planned with.
        shown: Where it is shown.
        command: The command line, for the record.

    Raises:
        RequestError: The name is taken, the folder cannot be written, or the cluster cannot be joined.
        KeyboardInterrupt: The run was interrupted; `resume` goes on with it.
    """
    return search(made, begin(made, name, options, shown, command), options, shown)


def begin(made: "Plan", name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> str:
    """Make the folder of a planned run and its records; what it is called.

    Where no name was asked for and another run that began meanwhile took this one, it is the next that is free.

    Raises:
        RequestError: The name that was asked for is taken, or the folder cannot be written.
    """
    from spectral_search.run.driver import begin as make
    from spectral_search.run.driver import told_plainly

    _check_ray(made)
    root = results_root(options.results)
    while True:
        paths = RunPaths(root, name, options.reserved)
        require_copy_place(made.spec, name)
        try:
            with told_plainly(paths):
                make(made, paths, command)
            return name
        except NameTakenError:
            if options.name is not None:
                raise
            taken, name = name, next_free_name(root, made.spec.stage)
            shown.say(f"{taken} was taken meanwhile by another run: this one is {name}.")


def search(made: "Plan", name: str, options: RunOptions, shown: Shown) -> "RunRecord":
    """Carry out a run that was begun; otherwise as `run`."""
    from spectral_search.run.driver import carry_out
    from spectral_search.run.run_lock import hold

    paths = RunPaths(results_root(options.results), name)
    try:
        with hold(paths):
            return carry_out(made, paths, _surroundings(made, options, shown))
    except RequestError:
        # What a whole reading alone shows must not leave a run without a trial that blocks its name.
        if not any(paths.trials_dir.iterdir()):
            paths.remove_run()
        raise


def resume(name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> "RunRecord":
    """Go on with an interrupted run from its record; a finished run is copied and returned as it is, unless extended.

    Args:
        name: The run.
        options: Where to run; `trials` and `epochs` extend it.
        shown: Where it is shown.
        command: The command line, for the record.

    Raises:
        RequestError: There is no such run, it is running, or its data has changed.
        KeyboardInterrupt: It was interrupted again.
    """
    paths = RunPaths(results_root(options.results), name).require()
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.driver import told_plainly
    from spectral_search.run.executor_choice import check_executor
    from spectral_search.run.extend import Extension, extend
    from spectral_search.run.run_lock import hold

    check_executor(options.executor, None)  # also where nothing is left to train
    with hold(paths), told_plainly(paths):
        record = idle_record(paths)
        wanted = Extension(options.trials, options.epochs)
        if record.state == "finished" and not wanted:
            copy_again(recorded_spec(record, options), paths, shown)
            return record
        paths.require_writable()
        # Before the run's record is touched: what is refused leaves the run as it was.
        data = recorded_data(record, options, shown)
        if wanted:
            shown.say(extend(record, wanted))
            record = RunRecord.load(paths)
            if record.state == "finished":
                return record
        return go_on(record, data, options, shown, command)


def idle_record(paths: RunPaths) -> "RunRecord":
    """The record of a run that nobody works on.

    Raises:
        RequestError: It runs.
    """
    from spectral_search.record.run_records import RunRecord

    record, name = RunRecord.load(paths), paths.name
    if record.state == "running":
        raise RequestError(f"Run {name} is running already: follow it with `spectral-search status {name}`.")
    return record


def go_on(
    record: "RunRecord", data: RecordedData, options: RunOptions, shown: Shown, command: Sequence[str]
) -> "RunRecord":
    """Carry out what is left of a recorded run; the caller holds it.

    Args:
        record: The run.
        data: Its data, found to be what they were.
        options: Where to run.
        shown: Where it is shown.
        command: The command line, for the record.
    """
    from spectral_search.record.manifest import Manifest
    from spectral_search.run.driver import carry_out

    made = recorded_plan(record, options, data)
    _check_ray(made)
    around = _surroundings(made, options, shown)
    manifest = Manifest.load(record.paths.manifest_json)
    manifest.data = {**manifest.data, **data.record}
    manifest.claim(command=list(command), earlier_wall_seconds=record.wall_seconds)
    manifest.save(record.paths.manifest_json)
    return carry_out(made, record.paths, around)


@owner_writes()
def join(ref: str, name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> "RunRecord":
    """Work on a run together with other processes, such as the tasks of a job array; the first of them begins it.

    Args:
        ref: A stage's name or the path of a spec.
        name: The run.
        options: Of the run.
        shown: Where it is shown.
        command: The command line, for the record of the run's begin.

    Raises:
        RequestError: Others may write to the folder, the run is of another stage, or a process works on it alone.
        KeyboardInterrupt: This process was interrupted; the others go on.
    """
    root = results_root(options.results)
    paths, options = RunPaths(root, name), replace(options, name=name, executor="inline")
    require_own(root)
    paths.require_own()
    if options.address not in (None, HERE):
        raise RequestError("--join works without Ray: leave --address out, or `run` there without --join.")
    from spectral_search.record.joiners import require_locks
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.loggers.epoch_sink import require_no_loggers

    spec = load_spec(ref, sets=options.sets, overrides=options.overrides(), quick=options.quick)
    require_no_loggers(spec.search.loggers)
    _require_no_copy(spec)
    require_locks(paths)
    if not paths.exists():
        from spectral_search.service.plans import plan

        made = plan(ref, options, shown, dry_run=False)
        with suppress(NameTakenError):  # another one was faster
            begin(made, name, options, shown, command)
    record = RunRecord.load(paths.require())
    if record.state in ("finished", "failed"):
        return record
    if spec.stage != record.manifest.stage:
        raise RequestError(
            f"{name} is a run of {record.manifest.stage}, not of {spec.stage}: give `--join` another name."
        )
    recorded = recorded_spec(record, options)
    require_no_loggers(recorded.search.loggers)
    _require_no_copy(recorded)
    made = recorded_plan(record, options, recorded_data(record, options, shown))
    from spectral_search.run.joined_search import join as work

    return work(made, paths, _surroundings(made, options, shown))


def _require_no_copy(spec: RunSpec) -> None:
    if spec.resources.copy_to is not None:
        raise RequestError(
            "A run on which several processes work is not copied: leave --copy-to out, or say --copy-to none where its "
            "spec has it."
        )


def stop(name: str, results: str | None = None) -> bool:
    """Ask a running search on this host to stop; its state is kept. False when it was not running.

    Raises:
        RequestError: There is no such run, or it runs on another host.
    """
    from spectral_search.record.run_records import RunRecord

    record = RunRecord.load(RunPaths(results_root(results), name).require())
    if record.state != "running":
        return False
    manifest = record.manifest
    if not manifest.process_is_alive() or manifest.pid is None:
        raise RequestError(f"Run {name} runs on {manifest.hostname}: stop it there.")
    os.kill(manifest.pid, signal.SIGTERM)
    return True


def status(name: str, results: str | None = None) -> "RunRecord":
    """Read a run, in progress or over."""
    from spectral_search.record.run_records import RunRecord

    return RunRecord.load(RunPaths(results_root(results), name).require())


def follow(
    name: str,
    results: str | None,
    show: Callable[["RunRecord"], None],
    sleep: Callable[[float], None] = time.sleep,
) -> "RunRecord":
    """Show a run again and again until it is over or its process is gone; its last state.

    Args:
        name: The run.
        results: The results folder.
        show: Called with each reading.
        sleep: Waits so many seconds.
    """
    while True:
        record = status(name, results)
        show(record)
        if record.state != "running":
            return record
        sleep(_WATCH_SECONDS)


def all_runs(results: str | None = None) -> "list[RunSummary]":
    """All runs of the results folder, newest first."""
    from spectral_search.record.run_records import list_runs

    return list_runs(results_root(results))


def _surroundings(made: "Plan", options: RunOptions, shown: Shown) -> "Surroundings":
    from spectral_search.record.live_view import LiveView
    from spectral_search.run.driver import Surroundings

    left = None if options.room is None else options.room(made)
    return Surroundings(options.dashboard, LiveView(shown.console), shown.say, left, options.stranded)


def _check_ray(made: "Plan") -> None:
    """Refuse, before anything is begun, what Ray could not start for on this machine."""
    if made.executor != "inline" and made.slots.address is None:
        from spectral_search.run.ray_home import check_session_root

        check_session_root()
