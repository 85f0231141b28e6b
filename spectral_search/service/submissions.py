"""Handing searches over to a cluster."""

import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spectral_search import __version__
from spectral_search.cluster.job_record import ALIVE, JobRecord, submitter
from spectral_search.cluster.ray_jobs import DEFAULT_ADDRESS, RayJobs, job_address, on_this_machine, open_to_others
from spectral_search.cluster.standing import Standing, standing, standings
from spectral_search.cluster.submission import hand_over, require_room, require_short
from spectral_search.errors import RequestError, gathered
from spectral_search.places import given_root, is_store_url, owner_writes, require_own
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths, check_name, next_free_name, results_root
from spectral_search.run.cluster_slots import NodeMemory
from spectral_search.run.executor_choice import check_executor
from spectral_search.run.trial_memory import GivenMemory, node_memory
from spectral_search.service.default_data import named_data, with_data
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.spec.load import find_spec, load_spec
from spectral_search.spec.run import RunSpec
from spectral_search.task.registry import task_of

_OWN_PLACE = ("name", "results", "address", "reserved", "room", "stranded")
"""Options of a run that its job's record has a place of its own for."""


@dataclass(frozen=True)
class Destination:
    """Where jobs go, and when they begin there.

    Attributes:
        address: Where the cluster takes jobs; this machine's dashboard when absent.
        after: Jobs or runs that must have finished before any of these begins.
        python: The command of Python on the cluster; this one's where the cluster is on this machine.
        results: The results folder as the cluster sees it, where this machine does not; here lie the records of the
            jobs alone.
    """

    address: str | None = None
    after: Sequence[str] = ()
    python: str | None = None
    results: str | None = None


@owner_writes()
def submit(refs: Sequence[str], options: RunOptions, shown: Shown, where: Destination) -> list[Standing]:
    """Hand searches over to a cluster and return at once; those that inherit from one another wait for it.

    Args:
        refs: Stages or YAML files.
        options: Of each run; the results folder must lie where the cluster sees it under the same path.
        shown: Where warnings are shown.
        where: Which cluster.

    Raises:
        RequestError: A spec is wrong, a name is taken, nothing answers, or no node could ever run a trial.
    """
    address = job_address(where.address or DEFAULT_ADDRESS)
    warn_of_plain_text(address, shown)
    if len(refs) > 1 and options.name is not None:
        raise RequestError("--name is the name of one run: leave it out where several are submitted.")
    if where.results is not None and not Path(where.results).is_absolute():
        raise RequestError(f"--cluster-results {where.results} is no whole path: let it begin with /.")
    options = replace(options, data_root=tuple(given_root(root, "--data-root") for root in options.data_root))
    specs = _specs(refs, options, address)
    root = results_root(options.results).absolute()
    require_own(root)
    _require_there(root, where.after)
    ordered = {ref: specs[ref] for ref in _parents_first(specs)}
    _before_each(ordered, root, options)
    nodes = RayJobs(address).nodes()
    for spec in ordered.values():
        require_room(spec.resources, nodes, spec.stage, told_memory(spec, options, shown), options.executor)
    place = where.results or str(root)
    for ref, spec in ordered.items():
        job = _job(ref, spec, options, place, address, [*where.after])
        require_short(job, RunPaths(root, job.name), _text_of(ref))
    names: dict[str, str] = {}
    for ref, spec in ordered.items():
        before = [*where.after, *_before(spec, names, root, options)]
        job = _job(ref, spec, options, place, address, before)
        named = options.name is not None
        names[spec.stage] = _submit(job, _text_of(ref), root, python_for(address, where.python), named=named)
    return [standing(RunPaths(root, name)) for name in names.values()]


def told_memory(spec: RunSpec, options: RunOptions, shown: Shown) -> NodeMemory | None:
    """What trials take of a node's memory; None where it is the job that will know.

    The data may be seen by the cluster alone, and a network that is yet to be inherited by nobody.
    """
    given = spec.resources.memory_bytes_per_trial
    if given is not None:
        return GivenMemory(given)
    if spec.pending_inherit(options.explicit()):
        return None
    try:
        if any(map(is_store_url, named_data(spec).data.roots)):
            return None  # the cluster fetches them
        spec, _ = with_data(spec, shown, dry_run=True)
        task = task_of(spec.task)
        found = task.look_at(spec, task.open(spec), options.explicit(), lambda spec, shape_of: None)
        data = found.decided(results_root(options.results))
    except RequestError:
        return None
    return node_memory(data.spec, data.traits)


def warn_of_plain_text(address: str, shown: Shown) -> None:
    """Say where requests to a cluster can be read by others on the way."""
    if open_to_others(address):
        shown.say(
            f"warning: requests to {address}, the token among them, are not encrypted: reach it through an SSH tunnel "
            "or by https where you do not trust the network."
        )


def _before_each(ordered: dict[str, RunSpec], root: Path, options: RunOptions) -> None:
    """Refuse before any is submitted what one of them could not inherit."""
    names: dict[str, str] = {}
    for spec in ordered.values():
        _before(spec, names, root, options)
        names[spec.stage] = spec.stage


def _specs(refs: Sequence[str], options: RunOptions, address: str) -> dict[str, RunSpec]:
    """The searches, every fault of every file told at once."""
    faults: list[str] = []
    specs: dict[str, RunSpec] = {}
    for ref in refs:
        try:
            specs[ref] = load_spec(ref, sets=options.sets, overrides=options.overrides(), quick=options.quick)
        except RequestError as error:
            faults += error.faults
    if len(set(refs)) < len(refs) or len({spec.stage for spec in specs.values()}) < len(specs):
        faults.append("A stage is named twice: submit each once.")
    gathered(faults, lambda: check_executor(options.executor, address))
    if faults:
        raise RequestError(*faults)
    return specs


def _require_there(root: Path, after: Sequence[str]) -> None:
    missing = [name for name in after if not _is_known(RunPaths(root, name))]
    if missing:
        raise RequestError(f"--after {missing[0]}: there is no such job or run in {root} (`spectral-search jobs`).")


def _is_known(paths: RunPaths) -> bool:
    return paths.exists() or paths.job_json.is_file()


def _parents_first(specs: dict[str, RunSpec]) -> list[str]:
    """The searches in an order in which none comes before one that it inherits from."""
    by_stage = {spec.stage: ref for ref, spec in specs.items()}
    ordered: list[str] = []

    def place(ref: str, seen: tuple[str, ...]) -> None:
        parent = _parent(specs[ref])
        if parent in by_stage and by_stage[parent] not in (*seen, ref):
            place(by_stage[parent], (*seen, ref))
        if ref not in ordered:
            ordered.append(ref)

    for ref in specs:
        place(ref, ())
    return ordered


def _parent(spec: RunSpec) -> str | None:
    return None if spec.inherit is None else spec.inherit.from_


def _before(spec: RunSpec, names: dict[str, str], root: Path, options: RunOptions) -> list[str]:
    """The job that a search must wait for, since it takes values from its best trial."""
    from spectral_search.record.run_records import newest_finished

    if spec.inherit is None or not spec.pending_inherit(options.explicit()):
        return []
    stage = spec.inherit.from_
    if stage in names:
        return [names[stage]]
    coming = [one for one in standings(root) if one.job.stage == stage and one.state in ALIVE]
    if coming:
        return [coming[-1].job.name]
    if newest_finished(root, stage) is None:
        raise RequestError(
            f"{spec.stage} takes {', '.join(spec.inherit.keys)} from the best trial of {stage}, and {root} holds no "
            f"finished run of it and no job: `spectral-search submit {stage} {spec.stage}` submits both."
        )
    return []


def _job(ref: str, spec: RunSpec, options: RunOptions, results: str, address: str, after: list[str]) -> JobRecord:
    kept = {key: value for key, value in vars(options).items() if key not in _OWN_PLACE}
    if not kept["data_root"] and spec.data.root:
        # As this machine's variables expand it: the cluster may have others.
        kept["data_root"] = [given_root(root, "data.root") for root in spec.data.roots]
    # What a spec has from where it lies: its stage, and where the file of its task is.
    placed = [f"stage={spec.stage}", *([f"task={spec.task}"] if spec.task.endswith(".py") else [])]
    given = os.environ.get("DATA_ROOT")
    return JobRecord(
        name=options.name or spec.stage,
        stage=spec.stage,
        version=__version__,
        address=address,
        results=results,
        spec_path=str(find_spec(ref).absolute()),
        working_folder=str(Path.cwd()),
        options={**kept, "data_root": list(kept["data_root"]), "sets": [*kept["sets"], *placed]},
        environment={"DATA_ROOT": given_root(given, "DATA_ROOT")} if given else {},
        after=list(dict.fromkeys(after)),
        **submitter(),
    )


def _text_of(ref: str) -> str:
    return find_spec(ref).read_text(encoding="utf-8-sig")


def _submit(job: JobRecord, text: str, root: Path, python: str, *, named: bool) -> str:
    """Take the job's name, write it down, hand it over; the name that it got."""
    paths = _reserved(job, root, named)
    try:
        # Ray refuses an id that it has had before, even of a job that is over.
        job.submission_id = f"{job.name}-{secrets.token_hex(4)}"
        job.enter("submitted")
        write_atomic(paths.job_spec, text)
        job.save(paths)
        hand_over(job, paths, text, python)
    except BaseException:
        paths.remove_job()
        raise
    return job.name


def _reserved(job: JobRecord, root: Path, named: bool) -> RunPaths:
    """The folder of a new job; where no name was asked for, of the first that is free."""
    while True:
        if not named:
            job.name = next_free_name(root, job.stage)
        paths = RunPaths(root, check_name(job.name))
        try:
            paths.reserve()
            return paths
        # Somebody else took it between the look for a free name and here.
        except FileExistsError:
            if named:
                paths.require_unused()
                raise


def options_of(job: JobRecord) -> RunOptions:
    """The options that a run was submitted with, but for those that its record has a place of its own for."""
    kept = {key: tuple(value) if isinstance(value, list) else value for key, value in job.options.items()}
    heeded = RunOptions.__dataclass_fields__.keys() - set(_OWN_PLACE)
    values: dict[str, Any] = {key: value for key, value in kept.items() if key in heeded}
    return RunOptions(**values)


def python_for(address: str, asked: str | None = None) -> str:
    """The command of Python on a cluster: as asked for, else this one's where the cluster is on this machine."""
    return asked or (sys.executable if on_this_machine(address) else "python")
