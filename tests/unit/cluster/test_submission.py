"""What is handed over to a cluster, and what comes out of it there."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spectral_search.cluster import submission
from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.submission import (
    KEY,
    entrypoint,
    received,
    require_room,
    require_same_version,
    why_failed,
)
from spectral_search.errors import RequestError, RunError
from spectral_search.record.paths import RunPaths
from spectral_search.run.trial_memory import GivenMemory
from spectral_search.spec.search import ResourcesSpec

JOB = JobRecord(name="small", stage="small", version="1.0", results="/r")


@pytest.mark.parametrize(
    "hostile", ["a b", "$(touch pwned)", "`touch pwned`", "; touch pwned #", "'\"; touch pwned", "a\nb"]
)
def test_no_word_of_a_job_reaches_the_shell(hostile: str, tmp_path: Path) -> None:
    line = entrypoint(sys.executable, hostile, hostile)
    assert shlex.split(line) == ["exec", sys.executable, "-m", "spectral_search", "work", hostile, "--results", hostile]
    echo = tmp_path / "python"
    echo.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    echo.chmod(0o700)
    line = entrypoint(str(echo), hostile, hostile)
    told = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told == f"-m|spectral_search|work|{hostile}|--results|{hostile}|"
    assert not (tmp_path / "pwned").exists()


def test_a_job_whose_folder_the_submitter_did_not_see_comes_with_the_cluster(tmp_path: Path) -> None:
    shipped = json.dumps({"job": JOB.model_dump(mode="json"), "spec": "model: {kind: mlp}\n"})
    environ = {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"metadata": {KEY: shipped, "name": "small"}})}
    paths = RunPaths(tmp_path / "results", "small")
    assert received(paths, environ).version == "1.0"
    assert JobRecord.load(paths.job_json).history[0].state == "submitted"
    assert paths.job_spec.read_text() == "model: {kind: mlp}\n"
    again = JOB.model_copy(update={"version": "2.0", "submission_id": "small-2"})
    shipped = json.dumps({"job": again.model_dump(mode="json"), "spec": "model: {kind: cnn}\n"})
    environ = {"RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"metadata": {KEY: shipped, "name": "small"}})}
    found = received(paths, environ)
    assert (found.version, found.submission_id, len(found.history)) == ("2.0", "small-2", 1)
    assert paths.job_spec.read_text() == "model: {kind: mlp}\n", "what it computes stays"
    with pytest.raises(RequestError, match="must lie where every node of the cluster sees it"):
        received(RunPaths(tmp_path / "other", "small"), {})


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_cluster_knows_a_job_of_this_package_however_long_its_spec(
    length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[dict[str, str]] = []

    class Cluster:
        def __init__(self, address: str) -> None: ...

        def submit(self, line: str, job_id: str, metadata: dict[str, str], variables: dict[str, str]) -> None:
            handed.append(metadata)

    monkeypatch.setattr(submission, "RayJobs", Cluster)
    paths = RunPaths(tmp_path, "small")
    placed = {"address": "http://127.0.0.1:8265", "submission_id": "small-1", "results": str(tmp_path)}
    submission.hand_over(JOB.model_copy(update=placed), paths, "x" * length, "python")
    assert (KEY in handed[0], handed[0]["name"]) == (True, "small")
    assert len(json.dumps(handed[0])) < 100_000


def test_a_spec_too_long_to_reach_a_results_folder_that_is_not_seen_here_is_refused(tmp_path: Path) -> None:
    job = JOB.model_copy(update={"address": "http://127.0.0.1:1", "submission_id": "small-1"})
    submission.require_short(job, RunPaths(Path("/r"), "small"), "x" * 70_000)
    with pytest.raises(RequestError, match="and a cluster takes up to 60,000 with a job: shorten the spec, or submit"):
        submission.require_short(job, RunPaths(tmp_path, "small"), "x" * 70_000)


def test_another_version() -> None:
    require_same_version(JOB, "1.0", "/usr/bin/python3")
    with pytest.raises(RunError, match=r"has spectral-search 2.0 \(/usr/bin/python3\) and small was submitted by 1.0"):
        require_same_version(JOB, "2.0", "/usr/bin/python3")


NODES = [{"CPU": 8.0, "memory": 3.2e10}, {"CPU": 4.0, "GPU": 2.0, "memory": 6.4e10}]


@pytest.mark.parametrize(("cpus", "gpus"), [("auto", "auto"), (8.0, 0.0), (4.0, 2.0), (1.0, 0.25)])
def test_what_some_node_could_run(cpus: float | str, gpus: float | str) -> None:
    require_room(ResourcesSpec(cpus_per_trial=cpus, gpus_per_trial=gpus), NODES, "small")


@pytest.mark.parametrize(("cpus", "gpus"), [(9.0, 0.0), ("auto", 3.0), (8.0, 1.0), (8.0, "auto")])
def test_what_no_node_could_ever_run(cpus: float | str, gpus: float | str) -> None:
    with pytest.raises(
        RequestError,
        match=r"small can never run there: .* 4 CPUs, 2 GPUs and 64 GB of memory, or 8 CPUs and 32 GB of memory; lower",
    ):
        require_room(ResourcesSpec(cpus_per_trial=cpus, gpus_per_trial=gpus), NODES, "small")


def test_where_passes_are_shared_what_is_said_of_a_trial_refuses_nothing() -> None:
    resources = ResourcesSpec(cpus_per_trial=9.0, gpus_per_trial=3.0)
    require_room(resources, NODES, "small", executor="shared")
    with pytest.raises(RequestError, match="65 GB of memory, and the nodes have"):
        require_room(resources, NODES, "small", GivenMemory(65 * 10**9), "shared")


def test_a_trial_that_no_node_has_the_memory_for() -> None:
    require_room(ResourcesSpec(gpus=[]), NODES, "small", GivenMemory(64 * 10**9))
    told = "a trial asks for 1 CPU and 65 GB of memory, and the nodes have 4 CPUs, 2 GPUs and 64 GB of memory, or 8 "
    with pytest.raises(RequestError, match=told):
        require_room(ResourcesSpec(gpus=[]), NODES, "small", GivenMemory(65 * 10**9))


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (
            "Running entrypoint for job x: y\n/usr/bin/python3: No module named spectral_search\n",
            "has no spectral_search",
        ),
        ("Running entrypoint for job x: y\nerror: The data are gone.\nmore\n", "The data are gone."),
        ("/bin/sh: 1: exec: python: not found\n", "exec: python: not found"),
        ("", "The head node died."),
    ],
)
def test_why_a_job_failed_that_never_began(log: str, told: str) -> None:
    assert told in why_failed({"message": "The head node died."}, log)
