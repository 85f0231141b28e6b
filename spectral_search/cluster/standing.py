"""What each job is doing now, from the records of a results folder; neither cluster nor study is asked."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spectral_search.cluster.job_record import ALIVE, JobRecord, JobState
from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths, job_names
from spectral_search.record.run_records import run_state

_OF_RUN: dict[str, JobState] = {
    "running": "running",
    "finished": "finished",
    "failed": "failed",
    "interrupted": "stopped",
}
"""A run's state as a job's."""
_LOST = "its process is gone without a word, as when a node or the cluster dies"


@dataclass(frozen=True)
class Standing:
    """A job and what it is doing now.

    Attributes:
        paths: Its run.
        job: Its record.
        state: What it is doing.
        why: What it waits for, or why it is over.
        position: Its place among those that wait for the same cluster, from 1; None where it does not wait, and where
            it comes after one that is over and has not finished: nothing but a `resume` of that one gets it on.
        answered: False where a cluster alone would know more, and does not answer.
    """

    paths: RunPaths
    job: JobRecord
    state: JobState
    why: str | None
    position: int | None = None
    answered: bool = True

    @property
    def waits(self) -> bool:
        """Whether it stands in the queue."""
        return self.state in ("submitted", "waiting")

    @property
    def rank(self) -> tuple[str, str]:
        """By which jobs wait: who was submitted first goes first."""
        # Times in UTC and of one width are in order as texts.
        return (self.job.submitted_at, self.job.submission_id or self.job.name)

    def document(self) -> dict[str, Any]:
        """The job as JSON."""
        job = self.job
        return {
            "name": job.name,
            "stage": job.stage,
            "state": self.state,
            "why": self.why,
            "position": self.position,
            "after": job.after,
            "address": job.address,
            "submission_id": job.submission_id,
            "submitted_at": job.submitted_at,
            "submitted_by": job.submitted_by,
            "submitted_from": job.submitted_from,
            "version": job.version,
            "host": job.host,
            "path": str(self.paths.folder),
            "log": str(self.paths.job_log),
            "history": [event.model_dump(mode="json", exclude_none=True) for event in job.history],
        }


def standing(paths: RunPaths, now: float | None = None) -> Standing:
    """What one job is doing.

    Raises:
        RequestError: There is no such job, or its record is damaged.
    """
    now = time.time() if now is None else now
    job = JobRecord.load(paths.job_json)
    state, why = job.state_now(paths, now), job.why
    if state == "lost":
        why = _LOST
    if state not in ALIVE and paths.exists():
        # A run may have been gone on with where no job is.
        of_run = _OF_RUN[run_state(Manifest.load(paths.manifest_json), paths, now)]
        if of_run in ("running", "finished") and of_run != state:
            state, why = of_run, None
    return Standing(paths, job, state, why)


def standings(root: Path, now: float | None = None) -> list[Standing]:
    """All jobs of a results root, first submitted first, with the places of those that wait."""
    now = time.time() if now is None else now
    found = []
    for name in job_names(root):
        try:
            found.append(standing(RunPaths(root, name), now))
        except RequestError as fault:
            # One damaged record must neither hide the other jobs nor keep them from looking for room.
            found.append(Standing(RunPaths(root, name), _unreadable(name), "failed", str(fault)))
    found.sort(key=lambda one: one.rank)
    places, stuck = dict[str | None, int](), set[str]()
    for index, one in enumerate(found):
        if one.state in ("failed", "stopped", "lost") or (one.waits and stuck & set(one.job.after)):
            stuck.add(one.paths.name)
        elif one.waits:
            places[one.job.address] = places.get(one.job.address, 0) + 1
            found[index] = replace(one, position=places[one.job.address])
    return found


def _unreadable(name: str) -> JobRecord:
    return JobRecord(name=name, stage="", submitted_at="", version="", results="")
