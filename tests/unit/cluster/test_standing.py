"""What jobs are doing, by their folders alone, and how long a look at many of them takes."""

import time
from pathlib import Path
from typing import Any

import pytest
from command_line import call

from spectral_search.cluster import ray_jobs
from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.standing import standing, standings
from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths

MANY, MOST_SECONDS = 20, 0.3


def make_job(root: Path, name: str, number: int = 0, **changes: Any) -> RunPaths:
    paths = RunPaths(root, name).reserve()
    at = f"2026-01-01T00:00:{number:02d}.000000+00:00"
    known = {
        "name": name,
        "stage": "small",
        "version": "1",
        "results": str(root),
        "submitted_at": at,
        "address": "http://h:1",
    }
    JobRecord(**{**known, **changes}).save(paths)
    return paths


def begin(paths: RunPaths, **changes: Any) -> None:
    known = {"name": paths.name, "stage": "small", "study_name": paths.name}
    Manifest(**{**known, **changes}).save(paths.manifest_json)


def test_a_run_that_was_gone_on_with_counts_more_than_the_job_that_was_lost(tmp_path: Path) -> None:
    paths = make_job(tmp_path, "small", state="running", host="elsewhere", pid=1)
    assert (standing(paths).state, standing(paths).why) == (
        "lost",
        "its process is gone without a word, as when a node or the cluster dies",
    )
    begin(paths, state="interrupted")
    assert standing(paths).state == "lost"
    begin(paths, state="finished")
    assert (standing(paths).state, standing(paths).why) == ("finished", None)


def test_a_record_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    make_job(tmp_path, "good", state="failed", why="the data are gone")
    make_job(tmp_path, "bad").job_json.write_text("{")
    found = {one.job.name: one for one in standings(tmp_path)}
    assert found["good"].why == "the data are gone" and "not valid JSON" in (found["bad"].why or "")


def test_a_job_after_one_that_failed_has_no_place_in_the_queue(tmp_path: Path) -> None:
    make_job(tmp_path, "first", 0, state="failed")
    make_job(tmp_path, "second", 1, after=["first"])
    make_job(tmp_path, "third", 2, after=["second"])
    make_job(tmp_path, "other", 3)
    assert [(one.job.name, one.position) for one in standings(tmp_path)] == [
        ("first", None),
        ("second", None),
        ("third", None),
        ("other", 1),
    ]


def test_twenty_jobs_are_listed_at_once(tmp_path: Path) -> None:
    for number in range(MANY):
        paths = make_job(tmp_path / "ray_results", f"job-{number}", number, state="failed", why="the data are gone")
        begin(paths, state="failed")
    call("jobs", folder=tmp_path).require()  # imports
    for verb in ("jobs", "status"):
        before = time.process_time()
        call(verb, folder=tmp_path).require()
        assert time.process_time() - before < MOST_SECONDS


def test_a_cluster_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        make_job(tmp_path / "ray_results", f"job-{number}", number, submission_id=f"id-{number}")
    make_job(tmp_path / "ray_results", "other", 9, submission_id="id", address="http://k:1")
    asked: list[str] = []

    def info(self: ray_jobs.RayJobs, number: str) -> Any:
        asked.append(self.address)
        if self.address == "http://h:1":
            raise RequestError("no answer")
        return {"status": "PENDING"}

    monkeypatch.setattr(ray_jobs.RayJobs, "info", info)
    told = call("jobs", "--json", folder=tmp_path).require().json()
    assert asked == ["http://h:1", "http://k:1"]
    assert [job["position"] for job in told] == [1, 2, 3, 1]
    assert [job["why"] for job in told[:3]] == ["for the cluster at http://h:1, which does not answer"] * 3
