"""A job that a terminal goes on with: it begins as it was submitted, and `stop` reaches it."""

import time
from pathlib import Path
from typing import Any

import pytest
from command_line import call, write_spec
from small_search import make_data, make_spec

from spectral_search.cluster import attendance, ray_jobs
from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.ray_jobs import DEFAULT_ADDRESS
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.service import job_work, jobs
from spectral_search.spec.quick import SMALL


def stopped_job(folder: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> RunPaths:
    """A job `small` that was submitted to a cluster and stopped before its run began."""
    for name, answer in (
        ("nodes", [{"CPU": 2.0, "memory": 8e9}]),
        ("submit", None),
        ("stop", True),
        ("info", {"status": "PENDING"}),
    ):
        monkeypatch.setattr(ray_jobs.RayJobs, name, lambda *given, answer=answer: answer)
    call("submit", "small.yaml", *words, "--address", DEFAULT_ADDRESS, folder=folder).require()
    call("stop", "small", folder=folder).require()
    return RunPaths(folder / "ray_results", "small")


def test_a_run_that_never_began_begins_in_a_terminal_as_it_was_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 40})
    paths = stopped_job(tmp_path, monkeypatch, "--quick", "--trials", "2", "--gpus", "none")
    call("resume", "small", "--executor", "inline", folder=tmp_path).require()
    begun = RunRecord.load(paths)
    assert (begun.spec["search"]["trials"], begun.spec["resources"]["gpus"]) == (2, [])
    assert begun.spec["fit"]["epochs"] == SMALL.epochs < 40
    assert JobRecord.load(paths.job_json).state == "finished"


def test_what_the_command_line_says_counts_more_than_what_was_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(tmp_path / "small.yaml", "model: {kind: mlp}\n")
    stopped_job(tmp_path, monkeypatch, "--concurrent", "1", "--trials", "2")
    began: list[Any] = []
    monkeypatch.setattr(job_work, "_search", lambda paths, job, options, *rest: began.append(options) or 1 / 0)
    call("resume", "small", "--gpus", "none", "--concurrent", "2", folder=tmp_path).require(1)
    assert (began[0].gpus, began[0].concurrent, began[0].trials) == ((), 2, 2)


def test_a_job_that_a_terminal_goes_on_with_lives_for_others_and_hears_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(tmp_path / "small.yaml", "model: {kind: mlp}\n")
    paths = stopped_job(tmp_path, monkeypatch)
    attendance.ask_to_stop(paths, "by somebody, of the process before")
    monkeypatch.setattr(attendance, "_LOOK_SECONDS", 0.02)
    states: list[str] = []

    def search(*given: Any) -> None:
        monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
        states.append(JobRecord.load(paths.job_json).state_now(paths))
        assert jobs.stop("small", str(paths.root))
        time.sleep(10.0)
        raise AssertionError("nobody heard")

    monkeypatch.setattr(job_work, "_search", search)
    call("resume", "small", folder=tmp_path).require(130)
    record = JobRecord.load(paths.job_json)
    assert states == ["running"] and record.state == "stopped"
    assert (record.why or "").endswith("from elsewhere") and not paths.job_alive.exists()
