"""Runs that a cluster is to go on with: from where they are known, what is refused here, and what is sent."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import call, errors
from made_runs import MakeRun
from small_jobs import ADDRESS, submitted

from spectral_search.cluster import ray_jobs
from spectral_search.cluster.job_record import Continuation, JobRecord
from spectral_search.cluster.submission import received
from spectral_search.record.paths import RunPaths
from spectral_search.service.jobs import require_over


def test_a_folder_that_others_may_write_is_not_gone_on_with(sent: Any, folder: Path) -> None:
    paths = RunPaths(folder / "ray_results", "first").create()
    paths.folder.chmod(0o777)
    (fault,) = errors(call("resume", "first", "--address", ADDRESS, folder=folder).require(2))
    assert "Everybody may write to" in fault and not sent and not paths.job_dir.exists()


def test_what_is_handed_over_again_goes_on_as_it_was_submitted(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(folder, "first")
    monkeypatch.setattr(ray_jobs.RayJobs, "stop", lambda self, number: True)
    call("stop", "first", folder=folder).require()
    words = ["--data-root", "d", "--gpus", "none", "--concurrent", "2", "--executor", "shared"]
    (fault,) = errors(call("resume", "first", "--address", ADDRESS, *words, folder=folder).require(2))
    assert "leave --data-root, --gpus, --concurrent, --executor out, or --address" in fault
    done = call("resume", "first", "--address", "http://10.0.0.5:8265", folder=folder).require()
    assert "warning: requests to http://10.0.0.5:8265" in done.stdout and len(sent) == 2


def test_a_job_of_a_cluster_that_is_gone_can_be_gone_on_with(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(folder, "first")
    assert errors(call("resume", "first", folder=folder).require(2))[0].startswith("first is submitted and will begin")
    monkeypatch.undo()
    paths = RunPaths(folder / "ray_results", "first")
    job = JobRecord.load(paths.job_json)
    job.address = "http://127.0.0.1:1"
    job.save(paths)
    assert require_over(paths).job.name == "first"


def asked_of(metadata: dict[str, str]) -> Continuation:
    return JobRecord.of(json.loads(metadata["spectral_search"])["job"], "the metadata").asked


def test_a_run_is_extended_and_what_failed_of_it_retried_by_a_cluster(sent: Any, make_run: MakeRun) -> None:
    paths = make_run(state="finished")
    folder = paths.root.parent
    where = ["--address", ADDRESS, "--results", paths.root]
    for words, told in [
        (["resume"], "has finished, so that nothing is left to hand over: extend it with --trials or --epochs"),
        (["resume", "--trials", "3"], "has 5 trials already; ask for more"),
        (["resume", "--epochs", "2"], "the trials have 4 epochs already; ask for more"),
        (["retry", "--trial", "1"], "has trial 1 complete, not failed; those that failed are 3"),
    ]:
        (fault,) = errors(call(words[0], paths.name, *words[1:], *where, folder=folder).require(2))
        assert told in fault
    assert not sent and not paths.job_dir.exists()
    (job,) = call("resume", paths.name, "--trials", "9", *where, "--json", folder=folder).require().json()
    assert (job["state"], job["history"][-1]["why"]) == ("submitted", "gone on with, to 9 trials")
    assert asked_of(sent[0][2]) == JobRecord.load(paths.job_json).asked == Continuation(trials=9)
    told = call("status", paths.name, "--results", paths.root, folder=folder).require().stdout
    assert f"{paths.name} waits for the cluster to start its process" in told
    paths.remove_job()
    call("retry", paths.name, "--trial", "3", *where, folder=folder).require()
    assert asked_of(sent[1][2]) == Continuation(failed=[3])


def test_what_a_lost_job_was_asked_for_is_asked_for_again(
    sent: Any, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_run(state="finished")
    where = ["--address", ADDRESS, "--results", paths.root]
    call("resume", paths.name, "--trials", "9", *where, folder=paths.root).require()
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: None)
    call("resume", paths.name, *where, folder=paths.root).require()
    assert asked_of(sent[1][2]) == Continuation(trials=9)


def test_a_cluster_that_does_not_answer_leaves_a_run_as_it_was(make_run: MakeRun) -> None:
    paths = make_run(state="interrupted")
    for _ in range(2):
        words = ["resume", paths.name, "--address", "http://127.0.0.1:1", "--results", paths.root]
        (fault,) = errors(call(*words, folder=paths.root).require(2))
        assert "No Ray cluster answers" in fault and not paths.job_dir.exists()


def test_a_machine_that_reaches_the_cluster_alone_extends_a_job(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(folder, "first", "--cluster-results", "/far/results")
    # The cluster, which keeps what it is sent, as another machine sees it that submitted nothing.
    line, number, metadata = sent[0]
    known = {"submission_id": number, "metadata": metadata, "status": "RUNNING", "start_time": 1}
    monkeypatch.setattr(ray_jobs.RayJobs, "jobs", lambda self: [known])
    other = folder / "other"
    other.mkdir()
    words = ["resume", "first", "--trials", "7", "--address", ADDRESS]
    assert "first is running already on the cluster" in errors(call(*words, folder=other).require(2))[0]
    known["status"] = "SUCCEEDED"
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, asked: {"status": "PENDING"})
    assert "extend it with --trials" in errors(call(*words[:2], *words[4:], folder=other).require(2))[0]
    assert "knows no job second" in errors(call("resume", "second", *words[4:], folder=other).require(2))[0]
    assert len(sent) == 1 and not list(other.iterdir())
    (job,) = call(*words, "--json", folder=other).require().json()
    assert sent[1][0] == line and sent[1][1] != number and asked_of(sent[1][2]) == Continuation(trials=7)
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, asked: {"status": "RUNNING"})
    told = call("jobs", folder=other).require().stdout
    assert "first is running: in /far/results of the cluster" in told.replace("\n", " ")
    assert call("status", "first", "--json", folder=other).require().json()["state"] == "running"
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, asked: {"status": "SUCCEEDED"})
    monkeypatch.setattr(ray_jobs.RayJobs, "logs", lambda self, asked: "")
    for words in (["resume", "first"], ["retry", "first"]):  # which would begin it anew
        (fault,) = errors(call(*words, folder=other).require(2))
        assert "first lies in /far/results of the cluster, which is not seen here" in fault
        assert f"let the cluster go on with it (--address {ADDRESS})" in fault
    # Its process, which finds the record of the first time.
    far = RunPaths(folder / "far", "first")
    for metadata in (sent[0][2], sent[1][2]):
        found = received(far, {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"metadata": metadata})})
    assert (found.submission_id, found.asked) == (job["submission_id"], Continuation(trials=7))


def test_a_spec_too_long_for_a_cluster_is_refused_before_any_job_is_sent(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = folder / "tune_specs" / "second.yaml"
    long.write_text(long.read_text() + "#" * 70_000)
    words = ["submit", "first", "second", "--address", ADDRESS]
    (fault,) = errors(call(*words, "--cluster-results", "/far/results", folder=folder).require(2))
    assert "The spec and options of second are 7" in fault and "a cluster takes up to 60,000 with a job" in fault
    assert not sent and not (folder / "ray_results").exists()
    call(*words, folder=folder).require()
    # Of the long one the cluster knows the name alone.
    infos = [{"submission_id": number, "metadata": told, "status": "FAILED"} for _, number, told in sent]
    monkeypatch.setattr(ray_jobs.RayJobs, "jobs", lambda self: infos)
    other = folder / "other"
    other.mkdir()
    (fault,) = errors(call("resume", "second", "--address", ADDRESS, folder=other).require(2))
    assert "The spec of second was too long for the cluster" in fault and not list(other.iterdir())
