"""The process of a job, on its cluster and in a terminal that goes on with it: what it carries out, says and hears."""

import contextlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import call, write_spec
from made_runs import MakeRun
from small_search import make_data, make_spec

from spectral_search import __version__
from spectral_search.cluster import attendance, ray_jobs
from spectral_search.cluster.job_record import Continuation, JobRecord
from spectral_search.cluster.jobs_view import told_of
from spectral_search.cluster.ray_jobs import DEFAULT_ADDRESS
from spectral_search.cluster.standing import standing
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.service import job_work, jobs
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import silent
from spectral_search.spec.quick import SMALL
from spectral_search.spec.run import RunSpec


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


@pytest.mark.parametrize("asked", [Continuation(trials=9, epochs=8), Continuation(failed=[3])])
def test_the_process_of_a_job_extends_or_retries_a_run_that_is_there(
    asked: Continuation, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_run(state="interrupted")
    known = {"name": paths.name, "stage": "small", "version": __version__, "results": str(paths.root)}
    job = JobRecord(**known, asked=asked, working_folder=str(paths.root))
    done: list[Any] = []

    def resume(name: str, options: RunOptions, *rest: Any) -> None:
        done.append((options.trials, options.epochs))
        raise KeyboardInterrupt  # before it is entered into the run's record

    def retry(name: str, options: RunOptions, shown: Any, failed: list[int], *rest: Any) -> None:
        assert options.room is not None
        monkeypatch.setattr(job_work, "wait_until", lambda *given: done.append(failed))
        monkeypatch.setattr(job_work, "Room", lambda *given: SimpleNamespace(left=[], reason=None))
        spec = RunSpec.from_dict({"stage": "small", "model": {"kind": "mlp"}})
        options.room(SimpleNamespace(spec=spec, share_of=None))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(job_work.runs, "resume", resume)
    monkeypatch.setattr(job_work.retries, "retry", retry)
    with contextlib.chdir(paths.root), pytest.raises(KeyboardInterrupt):
        job_work.work(job, silent(), str(paths.root))
    assert done == ([(9, 8)] if asked.trials else [[3]])
    # What the run's own record does not hold yet stays to be done.
    assert JobRecord.load(paths.job_json).asked == (asked if asked.trials else Continuation())


def test_a_running_job_says_that_no_node_is_left_for_its_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(tmp_path / "small.yaml", "model: {kind: mlp}\n")
    paths = stopped_job(tmp_path, monkeypatch)
    told: list[str] = []

    def search(paths: RunPaths, job: JobRecord, options: RunOptions, *rest: Any) -> None:
        job.enter("running")
        for asked in ("2 CPUs", None):
            options.stranded(asked)
            told.append(told_of(standing(paths)))
        raise KeyboardInterrupt

    monkeypatch.setattr(job_work, "_search", search)
    with contextlib.chdir(tmp_path), pytest.raises(KeyboardInterrupt):
        job_work.work(JobRecord.load(paths.job_json), silent(), str(paths.root))
    assert told == [
        "small is running: it waits for a node with 2 CPUs, which none that lives has",
        "small is running",
    ]
