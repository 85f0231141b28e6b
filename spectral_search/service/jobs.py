"""Jobs: searches that a cluster carries out; listed, read and stopped, from their folders or from the cluster."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from spectral_search.cluster.attendance import ask_to_stop, growing
from spectral_search.cluster.job_record import ALIVE, JobRecord, JobState, submitter
from spectral_search.cluster.ray_jobs import RayJobs, job_address
from spectral_search.cluster.standing import Standing, standing, standings
from spectral_search.cluster.submission import KEY, told_by, why_failed
from spectral_search.errors import RequestError
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths, job_names, results_root
from spectral_search.service import runs

_ASK_SECONDS = 2.0
"""What a cluster may take to answer where its answer is only an addition; likewise how often it is asked."""
_STATES: dict[str, JobState] = {
    "RUNNING": "running",
    "SUCCEEDED": "finished",
    "FAILED": "failed",
    "STOPPED": "stopped",
}
"""Ray's words; a job that is none of these is yet to begin."""


def all_jobs(results: str | None = None) -> list[Standing]:
    """All jobs of the results folder, first submitted first; a cluster is asked only of jobs that never began."""
    return _each_asked(standings(results_root(results)))


def queued_jobs(results: str | None = None) -> list[Standing]:
    """Jobs whose runs have not begun; the records of all are read only where there is such a one, for its place."""
    root = results_root(results)
    queued = {name for name in job_names(root) if RunPaths(root, name).is_queued()}
    return _each_asked([one for one in standings(root) if one.paths.name in queued]) if queued else []


def _each_asked(jobs: Sequence[Standing]) -> list[Standing]:
    silent: set[str | None] = set()
    found = []
    for one in jobs:
        found.append(asked := _unanswered(one) if one.job.address in silent else _asked(one))
        if not asked.answered:  # one wait for a cluster is enough
            silent.add(one.job.address)
    return found


def job(name: str, results: str | None = None) -> Standing | None:
    """One job, None where the run was never submitted."""
    paths = RunPaths(results_root(results), name)
    if not paths.job_json.is_file():
        return None
    return next(_asked(one) for one in standings(paths.root) if one.paths.name == name)


def _asked(one: Standing) -> Standing:
    """A job whose process has written nothing into the folder yet, with what the cluster knows of it.

    That it is over is kept, with what the cluster has of its log.
    """
    if one.state != "submitted" or one.job.address is None or one.job.submission_id is None:
        return one
    if (refusal := _refusal(one.paths)) is not None:
        return replace(one, why=f"for the cluster at {one.job.address}, which is not asked: {refusal}")
    try:
        cluster = RayJobs(one.job.address, _ASK_SECONDS)
        info = cluster.info(one.job.submission_id)
        if info is None:
            why = f"the cluster at {one.job.address} knows nothing of it"
            return replace(one, state="lost", why=why, position=None)
        state = _STATES.get(str(info.get("status")), "submitted")
        if state in ALIVE:
            return _under_way(one, state)
        log = cluster.logs(one.job.submission_id)
    except RequestError:
        return _unanswered(one)
    now = standing(one.paths)
    if now.state != "submitted":  # it has written something while the cluster was asked
        return now
    reason = why_failed(info, log) if state == "failed" else None
    now.job.enter(state, reason)
    with suppress(OSError):  # whoever may only read still gets an answer
        write_atomic(one.paths.job_log, log)
        now.job.save(one.paths)
    return replace(now, state=state, why=reason)


def _refusal(paths: RunPaths) -> str | None:
    """Why the address in a job's record is not taken for a cluster: whoever wrote it would be sent the token."""
    try:
        paths.require_own()
    except RequestError as refused:
        return str(refused)
    return None


def _unanswered(one: Standing) -> Standing:
    """A job of which only a cluster that does not answer would know more."""
    if one.state != "submitted":
        return one
    return replace(one, why=f"for the cluster at {one.job.address}, which does not answer", answered=False)


def _under_way(one: Standing, state: JobState) -> Standing:
    if state == "running" and one.job.is_elsewhere(one.paths):
        return replace(one, state=state, why=f"in {one.job.results} of the cluster", position=None)
    return replace(one, why="for the cluster to start its process")


def logs(name: str, results: str | None = None, *, follow: bool = False) -> Iterator[str]:
    """What a job's process has said, also of one that is over or whose cluster is gone; pieces of text.

    Args:
        name: The job.
        results: The results folder.
        follow: Go on until the job is over.

    Raises:
        RequestError: There is no such job.
    """
    paths = RunPaths(results_root(results), name)
    if not paths.job_json.is_file():
        paths.require()
        raise RequestError(
            f"{name} was run in a terminal, which had its output; `logs {name} --trial N` tells of a trial."
        )
    one = standing(paths)
    if one.state == "submitted" and one.job.is_elsewhere(paths):
        paths.require_own()  # as `_refusal` says
        return _logs_elsewhere(one, follow)
    return growing(paths, lambda: not follow or _has_ended(paths))


def _logs_elsewhere(one: Standing, follow: bool) -> Iterator[str]:
    """What the cluster has of the log of a job whose results folder is not seen here."""
    assert one.job.address is not None and one.job.submission_id is not None
    cluster, seen = RayJobs(one.job.address), 0
    while True:
        ended = not follow or _asked(standing(one.paths)).state not in ALIVE
        text = cluster.logs(one.job.submission_id)
        yield text[seen:]
        seen = len(text)
        if ended:
            return
        time.sleep(_ASK_SECONDS)


def _has_ended(paths: RunPaths) -> bool:
    """Whether a job is over and its process, which tells of its end last, is gone too."""
    one = _asked(standing(paths))
    return one.state not in ALIVE and not one.job.lives(paths, time.time())


def trial_log(name: str, number: int, results: str | None = None) -> list[str]:
    """What is known of one trial: its values, its epochs, and what befell it; lines.

    Raises:
        RequestError: There is no such trial.
    """
    from spectral_search.record.wording import params_text

    record = runs.status(name, results)
    trial = next((trial for trial in record.trials if trial.number == number), None)
    if trial is None:
        raise RequestError(f"{name} has no trial {number}: it has {len(record.trials)}, counted from 0.")
    objective = record.objective
    state = "interrupted" if trial.state == "running" != record.state else trial.state
    lines = [f"trial {number}: {state}, {params_text(trial.params)}"]
    for row in trial.epochs:
        value = row.get(objective.val_name)
        lines.append(f"epoch {row['epoch']}: val {objective.label} {objective.told(value)}")
    with suppress(FileNotFoundError):
        lines += record.paths.trial(number).log_txt.read_text(errors="replace").splitlines()
    if trial.error is not None:
        lines.append(f"failed: {trial.error}")
    return lines


def stop(name: str, results: str | None = None, address: str | None = None) -> bool:
    """Ask a run or a job to stop, wherever it runs; its state is kept. False when it was not running.

    Args:
        name: The run or the job.
        results: The results folder.
        address: Where the cluster takes jobs, for a machine that does not see the results folder.

    Raises:
        RequestError: There is no such run, it runs on another host, or the cluster does not answer.
    """
    if address is not None:
        return _stop_there(name, job_address(address))
    paths = RunPaths(results_root(results), name)
    if not paths.job_json.is_file():
        return runs.stop(name, results)
    found = standing(paths)
    who = "by {submitted_by} from {submitted_from}".format(**submitter())
    if found.state == "submitted":
        record = found.job
        paths.require_own()  # as `_refusal` says
        if record.address is not None and record.submission_id is not None:
            with suppress(RequestError):  # a cluster that is gone starts nothing either
                RayJobs(record.address).stop(record.submission_id)
        found = standing(paths)  # its process may have begun meanwhile
        if found.state == "submitted":
            found.job.enter("stopped", who)
            found.job.save(paths)
            return True
    if found.state not in ALIVE:
        return False
    if found.job.state in ALIVE and found.job.lives(paths, time.time()):
        ask_to_stop(paths, who)
        return True
    return runs.stop(name, results)


def _stop_there(name: str, address: str) -> bool:
    cluster = RayJobs(address)
    return cluster.stop(_there(cluster, name)["submission_id"])


def _there(cluster: RayJobs, name: str) -> dict[str, Any]:
    """The newest job of a name that a cluster knows.

    Raises:
        RequestError: It knows none.
    """
    found = [info for info in _ours(cluster) if info["metadata"].get("name") == name]
    if not found:
        raise RequestError(f"The cluster at {cluster.address} knows no job {name}.")
    return max(found, key=lambda info: info.get("start_time") or 0)


def logs_there(name: str, address: str) -> str:
    """What a job's process has said, from the cluster alone.

    Raises:
        RequestError: The cluster does not answer or knows no such job.
    """
    cluster = RayJobs(job_address(address))
    return cluster.logs(_there(cluster, name)["submission_id"])


def jobs_there(address: str) -> list[dict[str, Any]]:
    """The jobs of this package that a cluster knows, as it knows them.

    Raises:
        RequestError: The cluster does not answer.
    """
    kept = ("submission_id", "status", "message", "start_time", "end_time")
    return [
        {"name": info["metadata"].get("name"), **{key: info.get(key) for key in kept}}
        for info in _ours(RayJobs(job_address(address)))
    ]


def _ours(cluster: RayJobs) -> list[dict[str, Any]]:
    """The jobs of this package that a cluster knows."""
    return [info for info in cluster.jobs() if KEY in (info.get("metadata") or {})]


def handed_over(cluster: RayJobs, name: str) -> tuple[JobRecord, str, bool]:
    """What a cluster was handed over as a job: its record, its spec, and whether it has finished.

    Raises:
        RequestError: The cluster knows no such job, was handed over no more than its name, or is at it.
    """
    info = _there(cluster, name)
    if (state := _STATES.get(str(info.get("status")), "submitted")) in ALIVE:
        raise RequestError(
            f"{name} is {state} already on the cluster at {cluster.address}: `spectral-search stop {name} --address "
            f"{cluster.address}` first."
        )
    if (told := told_by(info["metadata"])) is None:
        raise RequestError(
            f"The spec of {name} was too long for the cluster at {cluster.address} to keep: go on with it where its "
            "results folder is seen, by --results."
        )
    return *told, state == "finished"


def require_over(paths: RunPaths) -> Standing:
    """A job that no process works on.

    Raises:
        RequestError: One does.
    """
    found = _asked(standing(paths))
    if found.state == "submitted" and found.answered:
        raise RequestError(f"{paths.name} is submitted and will begin: `spectral-search stop {paths.name}` first.")
    if found.state in ("waiting", "running"):
        raise RequestError(
            f"{paths.name} is {found.state} already on {found.job.host}: follow it with `spectral-search status "
            f"{paths.name}`, or `stop` it first."
        )
    return found
