"""What is submitted, in which order, under which names, and what is refused before a cluster is troubled with it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import call, errors, write_spec
from small_cars import TASK, write_cars
from small_jobs import ADDRESS, MODEL, submitted

from spectral_search.cluster import ray_jobs, standing
from spectral_search.cluster.job_record import JobRecord
from spectral_search.record.paths import RunPaths, run_names
from spectral_search.spec.load import load_spec


def test_stages_wait_for_those_whose_best_they_take_in_whatever_order_they_are_named(sent: Any, folder: Path) -> None:
    found = submitted(folder, "third", "first", "second")
    assert [(job["name"], job["after"]) for job in found] == [
        ("first", []),
        ("second", ["first"]),
        ("third", ["second"]),
    ]
    assert [line.split()[5] for line, *_ in sent] == ["first", "second", "third"]
    listed = call("jobs", "--json", folder=folder).require().json()
    assert [(job["name"], job["position"]) for job in listed] == [("first", 1), ("second", 2), ("third", 3)]


def test_a_stage_submitted_later_waits_for_the_job_that_there_is(sent: Any, folder: Path) -> None:
    submitted(folder, "first", "--name", "mine")
    assert [job["after"] for job in submitted(folder, "second")] == [["mine"]]
    assert [job["after"] for job in submitted(folder, "second", "--set", "fit.weight_decay=0.1")] == [[]]
    assert sorted(path.name for path in (folder / "ray_results").iterdir()) == ["mine", "second", "second-2"]
    assert run_names(folder / "ray_results") == []


def test_what_can_never_begin_is_refused_and_leaves_nothing(sent: Any, folder: Path) -> None:
    for words, told in [
        (["second"], "submit first second` submits both"),
        (["first", "third"], "submit second third` submits both"),
        (["first", "--executor", "inline"], "joins no cluster: leave --address out"),
        (["first", "--set", "resources.cpus_per_trial=3"], "can never run there: a trial asks for 3 CPUs"),
        (["first", "--set", "resources.gpus_per_trial=1"], "1 GPU, and the nodes have 2 CPUs and 8 GB of memory"),
        (
            ["first", "--set", "resources.memory_gb_per_trial=9"],
            "a trial asks for 1 CPU and 9 GB of memory, and the nodes have 2 CPUs and 8 GB of memory; add a node with",
        ),
        (["first", "--after", "nobody"], "--after nobody: there is no such job or run"),
        (["first", "first"], "named twice"),
        (["first", "third", "--name", "x"], "--name is the name of one run"),
        (["first", "--set", "fit.lr=-1"], "fit.lr"),
        (["first", "--name", "$(touch pwned)"], "cannot name a run"),
    ]:
        (fault, *_) = errors(call("submit", *words, "--address", ADDRESS, folder=folder).require(2))
        assert told in fault, (words, fault)
    assert not sent and not (folder / "ray_results").exists()


def test_networks_that_no_node_has_the_memory_for_are_refused_where_the_data_are_seen(sent: Any, folder: Path) -> None:
    write_cars(folder / "cars.npz")
    (folder / "cars.py").write_text(TASK.read_text())
    large = "task: cars.py\ndata: {root: cars.npz}\nmodel: {kind: mlp, hidden: [30000, 20000]}\n"
    write_spec(folder / "large.yaml", large)
    (fault,) = errors(call("submit", "large.yaml", "--address", ADDRESS, folder=folder).require(2))
    assert fault.startswith("large can never run there: a trial asks for 1 CPU and 2")
    assert fault.endswith(
        "GB of memory, and the nodes have 2 CPUs and 8 GB of memory; add a node with more memory, or make model.hidden "
        "smaller; where the estimate is wrong, --set resources.allow_oversize=true tries it all the same. "
        "(Of nodes that an autoscaler would add nothing is known: have it start one, then submit again.)"
    )
    assert not sent and not (folder / "ray_results").exists()
    assert submitted(folder, "large.yaml", "--set", "resources.allow_oversize=true")
    # Of data that only the cluster sees, its own process will say so.
    (folder / "cars.npz").unlink()
    assert submitted(folder, "large.yaml")


def test_a_cluster_that_does_not_take_a_job_leaves_no_folder(folder: Path) -> None:
    (fault,) = errors(call("submit", "first", "--address", "http://127.0.0.1:1", folder=folder).require(2))
    assert "No Ray cluster answers" in fault and not (folder / "ray_results").exists()


def test_a_name_is_taken_by_a_job_before_its_run_begins(sent: Any, folder: Path) -> None:
    submitted(folder, "first")
    for words in (["submit", "first", "--name", "first", "--address", ADDRESS], ["run", "first", "--name", "first"]):
        (fault,) = errors(call(*words, folder=folder).require(2))
        assert fault == "A submitted job has the name 'first' already; choose another with `--name`."
    assert call("status", "first", folder=folder).require().stdout.startswith("first waits for the cluster to start")
    assert errors(call("resume", "first", folder=folder).require(2))[0].startswith("first is submitted and will begin")


def test_a_record_says_where_from_and_holds_what_is_needed_and_no_more(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-secret")
    submitted(folder, "first", "--trials", "3", "--set", "fit.batch_size=16")
    paths = RunPaths(folder / "ray_results", "first")
    job = JobRecord.load(paths.job_json)
    assert (job.options["trials"], job.working_folder) == (3, str(folder))
    assert job.options["sets"] == ["fit.batch_size=16", "stage=first"]
    assert job.environment == {"DATA_ROOT": str(folder / "somewhere")} and paths.job_spec.read_text() == MODEL
    assert not [path for path in paths.folder.rglob("*") if path.is_file() and b"a-secret" in path.read_bytes()]
    assert "a-secret" not in str(sent)


def test_a_results_folder_that_others_may_write_is_refused(sent: Any, folder: Path) -> None:
    results = folder / "ray_results"
    results.mkdir()
    os.chmod(results, 0o777)
    (fault,) = errors(call("submit", "first", "--address", ADDRESS, folder=folder).require(2))
    assert "Everybody may write to" in fault and "chmod -R go-w" in fault
    os.chmod(results, 0o755)
    submitted(folder, "first")


def test_a_job_is_its_submitters_to_change_whatever_the_umask(sent: Any, folder: Path) -> None:
    before = os.umask(0o002)
    try:
        submitted(folder, "first")
    finally:
        os.umask(before)
    written = (folder / "ray_results").rglob("*")
    assert len([path for path in written if not path.stat().st_mode & 0o022]) == 4, list(written)


def test_a_record_that_others_may_have_written_names_nobody_that_gets_the_token(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "mine"):
        submitted(folder, "first", "--name", name, "--cluster-results", "/far/results")
    RunPaths(folder / "ray_results", "first").job_json.chmod(0o666)
    asked: list[str] = []
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: asked.append(number) or {"status": "PENDING"})
    monkeypatch.setattr(ray_jobs.RayJobs, "logs", lambda self, number: 1 / 0)
    monkeypatch.setattr(ray_jobs.RayJobs, "stop", lambda self, number: 1 / 0)
    for words in (["jobs", "--json"], ["status", "first"]):
        told = call(*words, folder=folder).require().stdout
        assert f"for the cluster at {ADDRESS}, which is not asked: Everybody may write to" in told.replace("\n", " ")
    assert [number.rpartition("-")[0] for number in asked] == ["mine"]
    for words in (["logs", "first"], ["stop", "first"], ["resume", "first"], ["resume", "first", "--address", ADDRESS]):
        assert "Everybody may write to" in errors(call(*words, folder=folder).require(2))[0]


def test_a_job_that_was_stopped_before_it_began_is_stopped(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(folder, "first")
    monkeypatch.setattr(ray_jobs.RayJobs, "stop", lambda self, number: True)
    call("stop", "first", folder=folder).require()
    found = standing.standing(RunPaths(folder / "ray_results", "first"))
    assert found.state == "stopped" and (found.why or "").startswith("by ")


def test_a_copied_folder_is_a_job_of_its_own(sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted(folder, "first")
    shutil.copytree(folder / "ray_results" / "first", folder / "ray_results" / "copy")
    assert call("status", "copy", "--json", folder=folder).require().json()["name"] == "copy"
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: None)
    call("resume", "copy", "--address", ADDRESS, folder=folder).require()
    assert " work copy --results " in sent[1][0]


def test_what_a_cluster_cannot_tell_is_not_asked_of_it(folder: Path) -> None:
    for words in (["--follow"], ["--trial", "0"]):
        (fault,) = errors(call("logs", "first", *words, "--address", ADDRESS, folder=folder).require(2))
        assert "leave --follow and --trial out" in fault


def test_requests_in_plain_text_over_a_network_are_warned_of(sent: Any, folder: Path) -> None:
    done = call("submit", "first", "--address", "http://10.0.0.5:8265", folder=folder).require()
    assert "warning: requests to http://10.0.0.5:8265" in done.stdout
    assert sent[0][0].startswith("exec python -m spectral_search work first ")


def test_a_machine_that_does_not_see_the_results_asks_the_cluster(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(folder, "first", "--cluster-results", "/far/results")
    assert sent[0][0].endswith("work first --results /far/results")
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: {"status": "RUNNING"})
    monkeypatch.setattr(ray_jobs.RayJobs, "logs", lambda self, number: "epoch 1\n")
    (job,) = call("jobs", "--json", folder=folder).require().json()
    assert (job["state"], job["why"]) == ("running", "in /far/results of the cluster")
    assert call("logs", "first", folder=folder).require().stdout == "epoch 1\n"
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: {"status": "SUCCEEDED"})
    assert call("jobs", "--json", folder=folder).require().json()[0]["state"] == "finished"
    # From now on it is known without the cluster.
    monkeypatch.setattr(ray_jobs.RayJobs, "info", lambda self, number: 1 / 0)
    assert call("status", "first", folder=folder).require().stdout == "first has finished\n"
    assert call("logs", "first", folder=folder).require().stdout == "epoch 1\n"
    assert "no whole path" in call("submit", "second", "--cluster-results", "far", folder=folder).require(2).stderr


def test_what_a_job_says_itself_counts_more_than_what_the_cluster_says(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(folder, "first")
    paths = RunPaths(folder / "ray_results", "first")

    def info(self: Any, number: str) -> dict[str, str]:
        job = JobRecord.load(paths.job_json)
        job.take()
        job.enter("running")
        job.save(paths)
        return {"status": "FAILED"}

    monkeypatch.setattr(ray_jobs.RayJobs, "info", info)
    monkeypatch.setattr(ray_jobs.RayJobs, "logs", lambda self, number: "")
    assert call("jobs", "--json", folder=folder).require().json()[0]["state"] == "running"
    assert JobRecord.load(paths.job_json).state == "running"


def test_what_a_spec_has_from_where_it_lies_goes_with_it(
    sent: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "cars.py").write_text(TASK.read_text())
    write_spec(folder / "cars.yaml", "task: cars.py\ndata: {root: cars.npz}\nmodel: {kind: mlp}\n")
    submitted(folder, "cars.yaml")
    paths = RunPaths(folder / "ray_results", "cars")
    options = JobRecord.load(paths.job_json).options
    assert options["data_root"] == [str(folder / "cars.npz")]
    # The copy alone gives the same search, wherever it is read.
    spec = load_spec(str(paths.job_spec), sets=options["sets"])
    assert (spec.stage, spec.task) == ("cars", str(folder / "cars.py"))
    monkeypatch.setattr(ray_jobs.RayJobs, "stop", lambda self, number: True)
    call("stop", "cars", folder=folder).require()
    call("resume", "cars", "--address", ADDRESS, folder=folder).require()
    assert len(sent) == 2 and sent[1][0] == sent[0][0] and sent[1][1] != sent[0][1]
