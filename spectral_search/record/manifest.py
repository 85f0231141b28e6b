"""The manifest of a run: where it came from, which process works on it, and how it ended."""

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spectral_search.errors import RequestError
from spectral_search.record.durable import read_json, write_json
from spectral_search.spec.task_modules import DEFAULT_TASK

# psutil derives a process's start from the boot time, which moves when the clock is set.
_START_TOLERANCE_S = 2.0

RunState = Literal["running", "finished", "interrupted", "failed"]


def sampled(shards: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a record of shards is of an earlier version, which knew them by eight of their examples."""
    return any("sha256" in known for known in shards.values())


def utc_now() -> str:
    """The present time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Manifest(BaseModel):
    """What manifest.json holds; keys that this version does not know are kept."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)

    name: str
    stage: str
    task: str = DEFAULT_TASK
    study_name: str = Field(description="name of the study in the database: the run's name at its creation")
    storage: str | None = Field(None, description="database URL of the study; null is study.db in the run folder")
    created_at: str = Field(default_factory=utc_now)
    # Pydantic copies a default that can change, so that two manifests do not share it.
    versions: dict[str, str] = {}
    seed: int | None = None
    hardware: dict[str, Any] = {}
    data: dict[str, Any] = Field(
        {},
        description="shards: what is known of each without reading its examples; split: digest of the split; content: "
        "by part, a digest of every array that was read, from the moment that all was read",
    )
    spec_sha256: list[str] = Field([], description="of every spec.yaml that this run has had: extending it adds one")
    command: list[str] | str = []
    pid: int | None = None
    process_started: float | None = Field(None, description="start of that process, seconds since the epoch")
    hostname: str | None = None
    ray_dashboard: str | None = Field(None, description="address of the dashboard of the process that works on the run")
    planned_trials: int | None = None
    state: RunState = Field("running", description="as last written; a run whose process died still says running")
    wall_seconds: float = Field(0.0, description="of all earlier processes of this run, without the present one")
    retest: dict[str, Any] | None = Field(None, description="objective, low, high of the winner, and of each finalist")
    test: dict[str, Any] | None = Field(None, description="metrics of the winner on test data")
    best: dict[str, Any] | None = Field(None, description="trial, epoch, objective of the winner")
    seeds: list[dict[str, Any]] | None = Field(
        None, description="of a run that trains one config with several seeds: each with its model and its metrics"
    )

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read a manifest.

        Raises:
            RequestError: It is missing, cut short, or a key is missing or of the wrong type.
        """
        document = read_json(path)
        try:
            return cls.model_validate(document)
        except ValidationError as fault:
            keys = ", ".join(".".join(map(str, error["loc"])) for error in fault.errors())
            raise RequestError(f"{path} is not the manifest of a run (see {keys}); restore it or start anew.") from None

    def save(self, path: Path) -> None:
        """Replace the file as a whole."""
        write_json(path, self.model_dump(mode="json"))

    def claim(self, *, command: list[str] | None = None, earlier_wall_seconds: float = 0.0) -> None:
        """Enter the present process as the one that works on the run.

        Args:
            command: The command line of this process.
            earlier_wall_seconds: What earlier processes spent, also those that were killed: `RunRecord.wall_seconds`.
        """
        self.pid = os.getpid()
        self.process_started = psutil.Process().create_time()
        self.hostname = socket.gethostname()
        self.state = "running"
        # An address that is left there is that of a process before.
        self.ray_dashboard = None
        self.wall_seconds = earlier_wall_seconds
        if command is not None:
            self.command = command

    def release(self, state: RunState, wall_seconds: float) -> None:
        """Enter how this process ended.

        Args:
            state: finished, failed, or interrupted.
            wall_seconds: What all processes of the run spent, this one included.
        """
        self.state = state
        self.wall_seconds = wall_seconds

    def on_this_host(self) -> bool:
        """Whether the process that works on the run is, or was, one of this host's."""
        return self.hostname == socket.gethostname()

    def process_is_alive(self) -> bool:
        """Whether that very process lives on this host: a process that got the same number later does not count."""
        return self.on_this_host() and same_process(self.pid, self.process_started)


def same_process(pid: int | None, started: float | None) -> bool:
    """Whether a process of this host lives, and is the one that started then, in seconds since the epoch."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - started) < _START_TOLERANCE_S
        # A zombie has ended, though nobody has asked for its exit status yet.
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
