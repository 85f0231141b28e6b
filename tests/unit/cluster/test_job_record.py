"""A job's record: what it says of a process that is there, gone, or on another host."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from spectral_search.cluster.job_record import SILENT_SECONDS, JobRecord
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths


def record(**changes: Any) -> JobRecord:
    return JobRecord(**{"name": "small", "stage": "small", "version": "1", "results": "r", **changes})


def test_a_record_is_what_was_saved_and_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "small")
    job = record(after=["big"], later_version=3)
    job.enter("submitted")
    job.save(paths)
    found = JobRecord.load(paths.job_json)
    assert found == job and found.model_extra == {"later_version": 3}


def test_a_state_is_entered_once(tmp_path: Path) -> None:
    job = record()
    assert job.enter("waiting", "for big") and not job.enter("waiting", "for big") and job.enter("waiting", "for CPUs")
    assert [event.why for event in job.history] == ["for big", "for CPUs"]


def test_a_damaged_record_is_told(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "small").reserve()
    paths.job_json.write_text('{"name": 3}')
    with pytest.raises(RequestError, match=r"job.json is not the record of a job \(see name, stage, version"):
        JobRecord.load(paths.job_json)


def test_a_job_is_lost_when_its_process_is_gone(tmp_path: Path) -> None:
    paths, job = RunPaths(tmp_path, "small"), record(state="running")
    job.take()
    assert job.host == socket.gethostname() and job.state_now(paths) == "running"
    job.process_started = 1.0
    assert job.state_now(paths) == "lost"


def test_a_job_on_another_host_lives_while_it_touches_its_file(tmp_path: Path) -> None:
    paths, job, now = (
        RunPaths(tmp_path, "small").reserve(),
        record(state="running", host="elsewhere", pid=1),
        time.time(),
    )
    assert job.state_now(paths, now) == "lost"
    paths.job_alive.touch()
    os.utime(paths.job_alive, (now, now))
    assert job.state_now(paths, now + SILENT_SECONDS / 2) == "running"
    assert job.state_now(paths, now + SILENT_SECONDS * 2) == "lost"
    assert record(state="failed", host="elsewhere").state_now(paths, now + 1e6) == "failed"


def test_what_no_process_has_taken_up_is_submitted(tmp_path: Path) -> None:
    assert record().state_now(RunPaths(tmp_path, "small"), 0.0) == "submitted"


def test_results_that_this_machine_sees_by_another_name_are_not_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "results")
    paths = RunPaths(tmp_path / "results", "small")
    assert not record(results=str(tmp_path / "results")).is_elsewhere(paths)
    assert not record(results=str(tmp_path / "link")).is_elsewhere(paths)
    assert record(results=str(tmp_path)).is_elsewhere(paths) and record(results="/far/results").is_elsewhere(paths)
    assert not record(results="/far/results", host="elsewhere").is_elsewhere(paths)
