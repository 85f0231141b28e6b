"""Stopping a search: Ctrl-C, SIGTERM, `stop`, Ctrl-C twice, and the death of its process alone. Nothing outlives it."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from processes import Running, recorded_epochs
from small_search import cli, facts, make_data, make_spec

from spectral_search.results.paths import RunPaths

STOP_SECONDS = 60.0
"""Generous on a busy machine: a stop takes about two seconds on a quiet one."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    make_spec(folder, make_data(folder / "data"), search={"trials": 40, "pruner": "none"})
    return folder / "small.yaml"


class Stopped:
    """A search that is to be stopped after a few epochs.

    Args:
        spec: The search.
        results: The results folder.
        executor: separate or inline.
    """

    def __init__(self, spec: Path, results: Path, executor: str = "separate") -> None:
        self.results, self.paths = results, RunPaths(results, "run")
        where = ["--no-dashboard", "--executor", executor]
        self.running = Running("run", spec, "--name", "run", "--results", results, *where)
        assert self.running.wait_for(lambda: recorded_epochs(self.paths.folder) >= 3), self.running.end()[1]
        self.pid = self.running.process.pid

    def state(self) -> dict[str, Any]:
        answer = cli("status", "run", "--results", self.results, "--json")
        assert answer.returncode == 0, answer.stderr
        document: dict[str, Any] = json.loads(answer.stdout)
        return document

    def check(self, begun: float) -> str:
        """It ended with 130 in good time, told how to go on, left no process behind and a whole record."""
        code, output = self.running.end()
        took = time.monotonic() - begun
        assert code == 130, output
        assert took < STOP_SECONDS, took
        assert "resume run" in output
        assert "Traceback" not in output
        assert not self.running.survivors()
        document = self.state()
        assert document["state"] == "interrupted"
        assert document["epochs_trained"] == recorded_epochs(self.paths.folder) >= 3
        facts(self.paths)
        return output


ON_RAY = pytest.mark.slow
"""Starting Ray takes its seconds."""


@pytest.mark.parametrize(
    ("how", "executor"),
    [
        ("ctrl-c", "inline"),
        pytest.param("ctrl-c", "separate", marks=ON_RAY),
        pytest.param("stop", "separate", marks=ON_RAY),
    ],
)
def test_search_stops_in_good_order(spec: Path, tmp_path: Path, how: str, executor: str) -> None:
    stopped = Stopped(spec, tmp_path, executor)
    if how == "ctrl-c":  # a terminal sends it to every process of the foreground
        os.killpg(stopped.pid, signal.SIGINT)
    else:
        answer = cli("stop", "run", "--results", tmp_path)
        assert answer.returncode == 0, answer.stderr
    stopped.check(time.monotonic())


@pytest.mark.slow
def test_second_ctrl_c_stops_at_once(spec: Path, tmp_path: Path) -> None:
    stopped = Stopped(spec, tmp_path)
    os.kill(stopped.pid, signal.SIGINT)
    begun = time.monotonic()
    time.sleep(0.05)
    os.kill(stopped.pid, signal.SIGINT)
    code, output = stopped.running.end()
    assert (code, time.monotonic() - begun < 3.0) == (130, True), output
    assert not stopped.running.survivors()
    assert stopped.state()["state"] == "interrupted"


@pytest.mark.slow
def test_nothing_outlives_a_killed_driver(spec: Path, tmp_path: Path) -> None:
    stopped = Stopped(spec, tmp_path)
    os.kill(stopped.pid, signal.SIGKILL)
    assert stopped.running.end()[0] == -signal.SIGKILL
    # Trials end within a second or two; Ray's agents look for their parent now and then, and take half a minute.
    assert not stopped.running.survivors(grace=90)
    document = stopped.state()
    assert document["state"] == "interrupted"


@pytest.mark.slow
def test_sigterm_at_any_moment_of_the_start(spec: Path, tmp_path: Path) -> None:
    for number, moment in enumerate((0.5, 2.0, 4.0, 5.0, 6.0, 7.0)):
        name = f"early-{number}"
        running = Running("run", spec, "--name", name, "--results", tmp_path, "--no-dashboard")
        running.wait_for(lambda name=name: (tmp_path / name / "manifest.json").exists())
        time.sleep(moment)
        running.look()
        running.process.send_signal(signal.SIGTERM)
        code, output = running.end()
        assert code == 130, (moment, output)
        assert not running.survivors(), moment
