"""How a job gets to a cluster: a command line, what it is to do, and the check that some node could do it."""

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.ray_jobs import RayJobs
from spectral_search.errors import RequestError, RunError
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.run.cluster_slots import NodeMemory, NoNodeError, share_of
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots

KEY = "spectral_search"
"""Of what a job finds in its metadata."""
_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The variable in which Ray hands a job its metadata."""
_STOP_SECONDS = 120
"""What a job that Ray stops may take to keep its state; Ray's own 3 are too few to write a checkpoint."""
# Linux takes at most 128 KiB in one variable (MAX_ARG_STRLEN), and JSON within JSON escapes each quotation mark anew.
_MOST_METADATA_BYTES = 60_000
"""An environment variable has room for twice as much."""


def entrypoint(python: str, name: str, results: str) -> str:
    """The shell's command line that carries out a job; `exec`, so that a signal reaches the search and no shell."""
    return f"exec {shlex.join([python, '-m', 'spectral_search', 'work', name, '--results', results])}"


def hand_over(job: JobRecord, paths: RunPaths, text: str, python: str) -> None:
    """Send a job to its cluster.

    Args:
        job: With address and submission id.
        paths: Its run, as this machine sees it.
        text: The spec.
        python: The command of Python on the cluster.

    Raises:
        RequestError: Nothing answers.
    """
    assert job.address is not None and job.submission_id is not None
    shipped = _shipped(job, text)
    # Where it is too long, the results folder, which the cluster sees, has it.
    # The key is there in any case, since jobs of this package are told from others by it.
    fits = len(shipped) <= _MOST_METADATA_BYTES or job.is_elsewhere(paths)
    metadata = {KEY: shipped if fits else "", "name": job.name}
    variables = {"RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_SECONDS)}
    RayJobs(job.address).submit(entrypoint(python, job.name, job.results), job.submission_id, metadata, variables)


def require_short(job: JobRecord, paths: RunPaths, text: str) -> None:
    """Refuse, before any job is sent, a spec that is too long to go without a results folder that both see.

    Args:
        job: Its name and what it comes after may yet change.
        paths: Its run, as this machine sees it.
        text: The spec.

    Raises:
        RequestError: It is.
    """
    if job.is_elsewhere(paths) and (length := len(_shipped(job, text))) > _MOST_METADATA_BYTES:
        raise RequestError(
            f"The spec and options of {job.name} are {length:,} characters, and a cluster takes up to "
            f"{_MOST_METADATA_BYTES:,} with a job: shorten the spec, or submit where {job.results} is seen, without "
            "--cluster-results."
        )


def _shipped(job: JobRecord, text: str) -> str:
    """What the cluster gets of a job: its record and its spec."""
    # Other users of the cluster can read this: a record holds nothing of the environment but DATA_ROOT.
    return json.dumps({"job": job.model_dump(mode="json", exclude={"history", "claim"}), "spec": text})


def told_by(metadata: Mapping[str, str]) -> tuple[JobRecord, str] | None:
    """The record and the spec of a job as the cluster was given them; None where it was too much.

    Raises:
        RequestError: It is no such record.
    """
    shipped = json.loads(metadata.get(KEY) or "{}")
    return (JobRecord.of(shipped["job"], "The job's metadata"), str(shipped["spec"])) if shipped else None


def received(paths: RunPaths, environ: Mapping[str, str] = os.environ) -> JobRecord:
    """What a job's process is to do: as its folder says, else as the cluster handed it over, which is then written.

    Raises:
        RequestError: Neither says anything.
    """
    metadata = json.loads(environ.get(_JOB_CONFIG) or "{}").get("metadata") or {}
    shipped = told_by(metadata)
    if paths.job_json.is_file():
        job = JobRecord.load(paths.job_json)
        if shipped:  # whoever submitted it again may not see this folder
            again, _ = shipped
            job.version, job.address, job.submission_id = again.version, again.address, again.submission_id
            job.asked = again.asked
        return job
    if not shipped:
        raise RequestError(
            f"There is no job {paths.name} in {paths.root}, as this machine sees it: the results folder must lie where "
            "every node of the cluster sees it under the same path."
        )
    job, spec = shipped
    job.enter("submitted", None)
    job.save(paths)
    write_atomic(paths.job_spec, spec)
    return job


def require_same_version(job: JobRecord, here: str, python: str) -> None:
    """Refuse to carry out what another version of this package submitted.

    Raises:
        RunError: It was.
    """
    if job.version != here:
        raise RunError(
            f"The cluster has spectral-search {here} ({python}) and {job.name} was submitted by {job.version}: install "
            f"{job.version} on its nodes, or submit with {here}."
        )


def require_room(
    resources: ResourcesSpec,
    nodes: Sequence[Mapping[str, float]],
    name: str,
    memory: NodeMemory | None = None,
    executor: str = "auto",
) -> None:
    """Refuse at once what no node of a cluster could ever run.

    Args:
        resources: What each trial asks for.
        nodes: What each node has.
        name: Of the search.
        memory: What its trials take of a node's memory; None where that is not known here.
        executor: As asked for: where trials share passes, what the spec says of each counts for none.

    Raises:
        RequestError: It asks for more than any node has.
    """
    if not nodes:
        raise RequestError("The cluster has no living node: add one.")
    try:
        share_of(resources, Slots(0.0, 0.0, 0, (), passes=int(executor == "shared")), nodes, memory=memory)
    except NoNodeError as error:
        told = f"{name} can never run there: a trial asks for {error.asked}, and the nodes have {error.had}"
        later = "Of nodes that an autoscaler would add nothing is known: have it start one, then submit again."
        raise RequestError(f"{told}; {error.remedy}. ({later})") from None


def why_failed(info: Mapping[str, Any], log: str) -> str:
    """Why a job failed that never wrote a word into its folder, by what the cluster knows.

    Args:
        info: Of the job.
        log: What its process wrote.
    """
    if missing := re.search(r"No module named '?(spectral_search|[\w.]+)", log):
        return (
            f"the cluster's Python has no {missing[1]}: install the package on its nodes, or name the Python that has "
            "it by --python"
        )
    lines = [line.strip() for line in log.splitlines() if line.strip() and not line.startswith("Running entrypoint")]
    errors = [line for line in lines if line.startswith("error: ")]
    said = errors[-1].removeprefix("error: ") if errors else lines[-1] if lines else ""
    return said or str(info.get("message") or "no reason given").splitlines()[0]
