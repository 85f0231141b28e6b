"""Searches handed over to a real cluster of two nodes, of which nodes and then all die: what is known of them stays."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_line import Done, spawn
from processes import recorded_epochs
from small_cluster import SmallCluster, small_cluster
from small_search import differences, facts, make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow

GRID = {
    "search": {"sampler": "grid", "pruner": "none"},
    "grid": {"fit.lr": [1e-4, 1e-3, 3e-3]},
    "resources": {"gpus": [], "concurrent": 2},
    "fit": {"epochs": 400, "patience": None},
}
"""Of which no trial is stopped for another, so that its end does not depend on who was faster."""


def wait(condition: Callable[[], bool], seconds: float = 300.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Desk:
    """Commands given in a folder, beside a cluster or after it."""

    def __init__(self, folder: Path, cluster: SmallCluster) -> None:
        self.folder, self.cluster = folder, cluster

    def __call__(self, *words: object) -> Done:
        return spawn(*words, folder=self.folder, **self.cluster.environment)

    def job(self, name: str) -> dict[str, Any]:
        found = self("jobs", "--json").require().json()
        return next(job for job in found if job["name"] == name)

    def state(self, name: str) -> str:
        return str(self.job(name)["state"])


def test_a_job_outlives_a_node_and_the_whole_cluster(tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"), **GRID)
    with small_cluster(tmp_path, {"num_cpus": 1}, {"num_cpus": 1}) as cluster:
        desk = Desk(tmp_path, cluster)
        desk("run", "small.yaml", "--name", "whole", "--executor", "inline").require()
        expected = facts(RunPaths(tmp_path / "ray_results", "whole"))
        submitted = desk("submit", "small.yaml", "--address", cluster.url, "--json").require().json()
        assert [(job["name"], job["state"]) for job in submitted] == [("small", "submitted")]
        paths = RunPaths(tmp_path / "ray_results", "small")
        both = [paths.trial(number).progress_jsonl for number in (0, 1)]
        assert wait(lambda: all(path.exists() for path in both)), desk("logs", "small").stdout
        assert desk.state("small") == "running"
        cluster.remove_node()
        reached = recorded_epochs(paths.folder)
        assert wait(lambda: recorded_epochs(paths.folder) > reached), "one node is left to go on with"
        cluster.kill()
        assert recorded_epochs(paths.folder) < 1200

        assert wait(lambda: desk.state("small") == "lost", 60.0)
        assert "its process is gone without a word" in desk("jobs").require().stdout
        assert "val R2" in desk("logs", "small", "--follow").require().stdout
        assert (
            desk("logs", "small", "--trial", "0")
            .require()
            .stdout.startswith("trial 0: interrupted, lr=1e-4\nepoch 1: ")
        )
        told = desk("status", "small", "--json").require().json()
        assert told["state"] == "interrupted" and told["job"]["state"] == "lost"
        desk("resume", "small", "--executor", "inline").require()
        assert differences(facts(paths), expected) == []
        assert desk.state("small") == "finished"
        states = [event["state"] for event in desk.job("small")["history"]]
        assert states == ["submitted", "running", "running", "finished"]
        assert_no_secret(cluster, paths.folder)


def assert_no_secret(cluster: SmallCluster, folder: Path) -> None:
    token = Path(cluster.environment["RAY_AUTH_TOKEN_PATH"]).read_bytes()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10 and not [path for path in files if token in path.read_bytes()]


def test_a_job_is_stopped_by_its_folder_goes_on_on_another_cluster_and_is_extended(tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"), **GRID)
    paths = RunPaths(tmp_path / "ray_results", "small")
    with small_cluster(tmp_path, {"num_cpus": 1}) as cluster:
        desk = Desk(tmp_path, cluster)
        desk("submit", "small.yaml", "--address", cluster.url).require()
        assert wait(lambda: paths.trial(0).progress_jsonl.exists()), desk("logs", "small").stdout
        assert [job["status"] for job in desk("jobs", "--address", cluster.url, "--json").json()] == ["RUNNING"]
        token = Path(cluster.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        assert not [p for p in psutil.process_iter(["cmdline"]) if token in " ".join(p.info["cmdline"] or ())]
        desk("stop", "small").require()
        assert wait(lambda: desk.state("small") == "stopped"), desk("logs", "small").stdout
        assert desk.job("small")["why"].startswith("by ")
        assert "everything so far is kept" in desk("logs", "small").stdout
        refused = desk("resume", "small", "--address", "http://127.0.0.1:1").require(2)
        assert "No Ray cluster answers" in refused.stderr
    with small_cluster(tmp_path, {"num_cpus": 1}) as cluster:
        desk = Desk(tmp_path, cluster)
        desk("resume", "small", "--address", cluster.url).require()
        log = desk("logs", "small", "--follow").require().stdout
        assert log.count(" begins") == 2 and "small: finished" in log
        assert desk.state("small") == "finished"
        assert "small: finished" in desk("logs", "small", "--address", cluster.url).require().stdout

        # A machine that sees nothing of it, and reaches the cluster alone.
        (tmp_path / "other").mkdir()
        other = Desk(tmp_path / "other", cluster)
        other("resume", "small", "--epochs", "405", "--address", cluster.url).require()
        assert wait(lambda: other.state("small") == "finished"), other("logs", "small").stdout
        assert "3 complete trials go on to epoch 405." in other("logs", "small").require().stdout
        assert other("status", "small").require().stdout == "small has finished\n"
        assert desk.state("small") == "finished"
        assert [trial.last_epoch for trial in RunRecord.load(paths).trials] == [405, 405, 405]


def test_a_job_of_another_version_says_so_in_a_sentence(tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"))
    with small_cluster(tmp_path, {"num_cpus": 1}) as cluster:
        desk = Desk(tmp_path, cluster)
        code = (
            "from spectral_search.service import submissions\nsubmissions.__version__ = '0.0.1'\n"
            "from spectral_search.cli.main import main\nmain()"
        )
        environment = {**os.environ, **cluster.environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-c", code, "submit", "small.yaml", "--address", cluster.url]
        subprocess.run(words, cwd=tmp_path, env=environment, check=True)
        assert wait(lambda: desk.state("small") == "failed"), json.dumps(desk.job("small"))
        assert "was submitted by 0.0.1: install 0.0.1 on its nodes" in desk("jobs").stdout.replace("\n", " ")
        assert not RunPaths(tmp_path / "ray_results", "small").exists()


def test_stages_wait_for_their_parents_and_for_room(tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    stages = tmp_path / "tune_specs"
    stages.mkdir()
    for name, more in (("base", {}), ("heir", {"inherit": {"from": "base", "keys": ["fit.lr"]}}), ("other", {})):
        grid = {"grid": {"model.dropout": [0.0, 0.1]}} if more else {}
        make_spec(stages, data, **{**GRID, "space": {}, **grid, **more})
        text = (stages / "small.yaml").read_text()
        (stages / f"{name}.yaml").write_text(text.replace("stage: small", f"stage: {name}"))
    with small_cluster(tmp_path, {"num_cpus": 1}) as cluster:
        desk = Desk(tmp_path, cluster)
        desk("submit", "heir", "base", "--set", "resources.concurrent=1", "--address", cluster.url).require()
        assert wait(lambda: desk.state("base") == "running"), desk("logs", "base").stdout
        desk("submit", "other", "--set", "resources.concurrent=1", "--address", cluster.url).require()
        assert wait(lambda: (desk.job("other")["why"] or "").startswith("for room: 0 of 1 CPUs"))
        assert desk.job("heir")["why"] == "for base, which is running"
        for name in ("base", "heir", "other"):
            assert "finished" in desk("logs", name, "--follow").require().stdout
            assert desk.state(name) == "finished"
        base, heir = (RunRecord.load(RunPaths(tmp_path / "ray_results", name)) for name in ("base", "heir"))
        assert base.best is not None and heir.spec["fit"]["lr"] == base.best.params["fit.lr"]
