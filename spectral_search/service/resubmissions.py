"""Runs handed over to a cluster that goes on with them: to their end, to more trials or epochs, or to retry failures.

What is known of a run may lie in a folder that this machine sees, in the record of a job that it submitted, or with the
cluster alone, which keeps what it was handed over.
"""

import secrets
from collections.abc import Collection
from dataclasses import dataclass

from spectral_search import __version__
from spectral_search.cluster.job_record import Continuation, JobRecord, submitter
from spectral_search.cluster.ray_jobs import DEFAULT_ADDRESS, RayJobs, job_address
from spectral_search.cluster.standing import Standing, standing
from spectral_search.cluster.submission import hand_over, require_room, require_short
from spectral_search.errors import RequestError
from spectral_search.places import is_store_url, owner_writes
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths, results_root
from spectral_search.service.jobs import handed_over, require_over
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.service.submissions import options_of, python_for, told_memory, warn_of_plain_text
from spectral_search.spec.load import load_spec

_HEEDED = ("address", "results", "trials", "epochs", "dashboard")  # a job has no dashboard of its own


@dataclass(frozen=True)
class _Known:
    """What is known here of what is handed over.

    Attributes:
        record: Of its job.
        text: Its spec.
        finished: Whether nothing is left of it, as far as is known here.
        seen: Whether the record or the run lies in the results folder of this machine.
    """

    record: JobRecord
    text: str
    finished: bool
    seen: bool = True


@owner_writes()
def resubmit(name: str, options: RunOptions, shown: Shown, failed: Collection[int] | None = None) -> Standing:
    """Hand a run over to a cluster, another one perhaps, which goes on with it.

    Args:
        name: The run, submitted before or not.
        options: The address of the cluster, the results folder, trials and epochs to extend it to, and nothing else.
        shown: Where warnings are shown.
        failed: Failed trials that are to run again, all where empty; none when absent.

    Raises:
        RequestError: There is no such run, it is not over, nothing is left of it, nothing answers, no node could ever
            run a trial, or others may write to its folder.
    """
    _require_as_begun(options)
    if is_store_url(name):
        raise RequestError("A copy of a run is fetched to where it goes on: join the cluster by --address HOST:PORT.")
    paths = RunPaths(results_root(options.results).absolute(), name)
    address = job_address(options.address or DEFAULT_ADDRESS)
    warn_of_plain_text(address, shown)
    paths.require_own()
    asked = Continuation(trials=options.trials, epochs=options.epochs, failed=None if failed is None else list(failed))
    known = _known(paths, address)
    record = known.record
    record.name = name  # a copied folder is a job of its own
    if not record.is_elsewhere(paths):
        record.results = str(paths.root)
        asked = asked or record.asked  # which its process did not get to
    _require_left(paths, known, asked)
    nodes = RayJobs(address).nodes()
    if known.seen:
        _require_room(paths, record, nodes, shown)
    record.address, record.version, record.asked = address, __version__, asked
    # Without a host it counts as yet to begin; with the old one it would count as lost at once.
    record.submission_id, record.host = f"{name}-{secrets.token_hex(4)}", None
    require_short(record, paths, known.text)
    _hand_over(paths, record, known.text, address)
    return standing(paths)


def _hand_over(paths: RunPaths, record: JobRecord, text: str, address: str) -> None:
    is_new = not paths.job_json.is_file()
    if is_new:
        paths.reserve()
    try:
        record.enter("submitted", f"gone on with{record.asked.told}")
        if is_new:
            write_atomic(paths.job_spec, text)
        record.save(paths)  # before it is handed over: from then on its process writes it
        hand_over(record, paths, text, python_for(address))
    except BaseException as error:
        if is_new:
            paths.remove_job()
        else:
            record.enter("failed", f"it was not submitted again: {error}")
            record.save(paths)
        raise


def _known(paths: RunPaths, address: str) -> _Known:
    """What is known of a run, where nobody works on it.

    Raises:
        RequestError: Somebody does, or there is no such run, here or with the cluster.
    """
    if paths.job_json.is_file():
        over = require_over(paths)
        return _Known(over.job, paths.job_spec.read_text(encoding="utf-8-sig"), over.state == "finished")
    if not paths.exists():
        record, text, finished = handed_over(RayJobs(address), paths.name)
        return _Known(record, text, finished, seen=False)
    from spectral_search.record.run_records import RunRecord

    found = RunRecord.load(paths)
    if found.state == "running":
        raise RequestError(f"Run {paths.name} is running already: `spectral-search stop {paths.name}` first.")
    record = JobRecord(
        name=paths.name, stage=found.manifest.stage, version=__version__, results=str(paths.root), **submitter()
    )
    return _Known(record, paths.spec_yaml.read_text(encoding="utf-8-sig"), found.state == "finished")


def _require_left(paths: RunPaths, known: _Known, asked: Continuation) -> None:
    """Refuse here what a job's process would refuse after hours of waiting, as far as it can be known here."""
    if known.finished and not asked:
        raise RequestError(
            f"{paths.name} has finished, so that nothing is left to hand over: extend it with --trials or --epochs."
        )
    if not paths.exists():
        if asked.failed is not None and not known.record.is_elsewhere(paths):
            paths.require()
        return
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.extend import Extension, require_extensible
    from spectral_search.run.retry import failed_trials

    found = RunRecord.load(paths)
    require_extensible(found, Extension(asked.trials, asked.epochs))
    if asked.failed is not None:
        failed_trials(found, asked.failed)


def _require_room(paths: RunPaths, record: JobRecord, nodes: list[dict[str, float]], shown: Shown) -> None:
    begun = options_of(record)
    source = paths.job_spec if paths.job_spec.is_file() else paths.spec_yaml
    spec = load_spec(str(source), sets=begun.sets, overrides=begun.overrides(), quick=begun.quick)
    require_room(spec.resources, nodes, paths.name, told_memory(spec, begun, shown), begun.executor)


def _require_as_begun(options: RunOptions) -> None:
    """Refuse what a job that is handed over again would not heed."""
    given = [key for key, value in vars(options).items() if key not in _HEEDED and value != getattr(RunOptions, key)]
    if given:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise RequestError(
            f"A run that is handed over goes on as it was begun: leave {flags} out, or --address, or join the cluster "
            "by HOST:PORT."
        )
