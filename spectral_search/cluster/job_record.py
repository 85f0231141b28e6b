"""What is known of a submitted job: job/job.json in its run folder, which outlives the cluster. No secret is in it."""

import getpass
import os
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_json, write_json
from spectral_search.record.manifest import same_process, utc_now
from spectral_search.record.paths import RunPaths

JobState = Literal["submitted", "waiting", "running", "finished", "failed", "stopped", "lost"]
ALIVE: tuple[JobState, ...] = ("submitted", "waiting", "running")
"""States of a job that is not over."""
BEAT_SECONDS = 5.0
"""How often a job's process shows that it lives."""
SILENT_SECONDS = 60.0
"""After so long without that it is taken for dead; a shared file system may show a file's time late."""


class JobEvent(BaseModel):
    """A step in the life of a job."""

    model_config = ConfigDict(extra="allow")

    at: str
    state: JobState
    why: str | None = None
    host: str = ""
    address: str | None = None
    submission_id: str | None = None


class Continuation(BaseModel):
    """What a job's process is to enter into a run before it goes on with it."""

    model_config = ConfigDict(extra="allow")

    trials: int | None = Field(None, description="trials of the search in all")
    epochs: int | None = Field(None, description="most epochs of a trial")
    failed: list[int] | None = Field(None, description="failed trials that run again, all where empty; null for none")

    def __bool__(self) -> bool:
        return self != Continuation()

    @property
    def told(self) -> str:
        """In words, each part after a comma; empty where it is nothing."""
        parts = {
            f"to {self.trials} trials": self.trials is not None,
            f"to {self.epochs} epochs": self.epochs is not None,
            f"failed trials again ({', '.join(map(str, self.failed or ())) or 'all'})": self.failed is not None,
        }
        return "".join(f", {part}" for part, holds in parts.items() if holds)


class JobRecord(BaseModel):
    """What job.json holds; keys that this version does not know are kept."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    name: str
    stage: str
    submitted_at: str = Field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"),
        description="UTC, so exact that jobs of one command stand in its order",
    )
    submitted_by: str = ""
    submitted_from: str = Field("", description="the host of the command `submit`")
    version: str = Field(description="of the package that submitted it; the cluster's must be the same")
    address: str | None = Field(None, description="where the cluster takes jobs; null once a machine goes on by itself")
    submission_id: str | None = Field(None, description="what the cluster calls the job")
    results: str = Field(description="the results folder, as the cluster sees it")
    spec_path: str = Field("", description="where the spec lay: the stages that it inherits from may lie beside it")
    working_folder: str = Field("", description="where the command was given: relative paths of the spec start here")
    options: dict[str, Any] = Field({}, description="the options of the run, by name")
    environment: dict[str, str] = Field({}, description="DATA_ROOT, where it was set")
    asked: Continuation = Field(Continuation(), description="what its process has yet to enter into the run's record")
    after: list[str] = Field([], description="jobs that must have finished before this one begins")
    state: JobState = Field("submitted", description="as last written; that of a job whose process died is old")
    why: str | None = Field(None, description="what it waits for, why it failed, who stopped it")
    cluster: str | None = Field(None, description="the cluster, as jobs on it know it")
    queued: bool = Field(False, description="waits for room on the cluster, rather than for another job")
    claim: dict[str, dict[str, float]] = Field({}, description="node -> what the search uses of it, while it runs")
    host: str | None = Field(None, description="where the job's process runs, or ran")
    pid: int | None = None
    process_started: float | None = None
    history: list[JobEvent] = []

    @classmethod
    def load(cls, path: Path) -> "JobRecord":
        """Read a job's record.

        Raises:
            RequestError: It is missing, cut short, or not such a record.
        """
        return cls.of(read_json(path), str(path))

    @classmethod
    def of(cls, document: Mapping[str, Any], where: str) -> "JobRecord":
        """A record from what JSON holds.

        Args:
            document: The object.
            where: Where it was found, for people.

        Raises:
            RequestError: It is not such a record.
        """
        try:
            return cls.model_validate(document)
        except ValidationError as fault:
            keys = ", ".join(".".join(map(str, error["loc"])) for error in fault.errors())
            told = f"{where} is not the record of a job (see {keys}); restore it or submit again."
            raise RequestError(told) from None

    def save(self, paths: RunPaths) -> None:
        """Replace the record as a whole; the job's folder is made if it is not there."""
        paths.job_dir.mkdir(parents=True, exist_ok=True)
        write_json(paths.job_json, self.model_dump(mode="json"))

    def enter(self, state: JobState, why: str | None = None) -> bool:
        """Enter a state; whether that is any news."""
        if (state, why) == (self.state, self.why) and self.history:
            return False
        self.state, self.why = state, why
        here = socket.gethostname()
        event = JobEvent(
            at=utc_now(), state=state, why=why, host=here, address=self.address, submission_id=self.submission_id
        )
        self.history = [*self.history, event]
        return True

    def take(self) -> None:
        """Enter the present process as the job's own."""
        self.host, self.pid = socket.gethostname(), os.getpid()
        self.process_started = psutil.Process().create_time()

    def is_elsewhere(self, paths: RunPaths) -> bool:
        """Whether its results lie in a folder of the cluster that this machine may not see."""
        if self.host is not None or self.results == str(paths.root.absolute()):
            return False
        try:
            return not os.path.samefile(self.results, paths.root)  # by another name, as through a link
        except OSError:
            return True

    def lives(self, paths: RunPaths, now: float) -> bool:
        """Whether the job's process lives: by itself on this host, by the file that it touches on others.

        Args:
            paths: Its run.
            now: Seconds since the epoch.
        """
        if self.host == socket.gethostname():
            # The system may have given the number to another process since, which the time of its start tells.
            return same_process(self.pid, self.process_started)
        try:
            return now - paths.job_alive.stat().st_mtime < SILENT_SECONDS
        except OSError:
            return False

    def state_now(self, paths: RunPaths, now: float | None = None) -> JobState:
        """What the job is doing: `lost` where its process is gone without a word, as when a node or the cluster died.

        One that was submitted and has no process yet stays `submitted`: the cluster alone knows more.
        """
        if self.state not in ALIVE or (self.state == "submitted" and self.host is None):
            return self.state
        return self.state if self.lives(paths, time.time() if now is None else now) else "lost"


def submitter() -> dict[str, str]:
    """Who submits, and from where."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return {"submitted_by": user, "submitted_from": socket.gethostname()}
