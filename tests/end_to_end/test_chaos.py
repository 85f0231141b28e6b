"""SIGKILL to a search and all its Ray processes at random moments: resumed, it ends as if nothing had happened."""

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Running, recorded_epochs
from small_search import cli, facts, make_data, make_spec

from spectral_search.results.paths import RunPaths

OnRay = Callable[[int], bool]
SEED = 20
START_SECONDS = 8.0
"""About what Ray takes to start: kills fall into it as well as between epochs."""


def kill_at_random_moments(spec: Path, results: Path, kills: int, on_ray: OnRay) -> tuple[RunPaths, int, str]:
    """Run and resume a search, killing it so often; its paths, the kills that hit it, and what it said at last.

    Args:
        spec: The search.
        results: Where its run goes.
        kills: How often to kill it.
        on_ray: Which of its processes, counted from 0, train on Ray; the others by themselves, sooner on their way.
    """
    paths, rng, landed = RunPaths(results, "chaos"), random.Random(SEED), 0
    while True:
        begun = paths.exists()
        executor = "separate" if on_ray(landed) else "inline"
        where = ["--results", results, "--no-dashboard", "--executor", executor]
        running = Running(*(["resume", "chaos"] if begun else ["run", spec, "--name", "chaos"]), *where)
        if landed == kills:
            code, output = running.end()
            assert code == 0, output
            assert not running.survivors()
            return paths, landed, output
        if begun and rng.random() < 0.25:
            time.sleep(rng.uniform(0.0, START_SECONDS))
        else:
            wanted = recorded_epochs(paths.folder) + rng.randint(1, 4)
            running.wait_for(lambda wanted=wanted: recorded_epochs(paths.folder) >= wanted)
            time.sleep(rng.uniform(0.0, 0.1))
        if not running.alive:
            raise AssertionError(f"the search was over after {landed} kills: {running.end()[1]}")
        running.kill()
        landed += 1


def reference(spec: Path, results: Path) -> dict[str, Any]:
    """The record of the same search without a kill, on the other executor: on one device the numbers are the same."""
    ended = cli("run", spec, "--name", "whole", "--results", results, "--executor", "inline")
    assert ended.returncode == 0, ended.stderr
    return facts(RunPaths(results, "whole"))


def check(folder: Path, kills: int, on_ray: OnRay, **search: Any) -> None:
    spec = folder / "small.yaml"
    make_spec(folder, make_data(folder / "data"), search=search)
    whole = reference(spec, folder / "results")
    assert {trial["state"] for trial in whole["trials"]} == {"complete", "stopped"}
    paths, landed, output = kill_at_random_moments(spec, folder / "results", kills, on_ray)
    assert landed == kills
    assert facts(paths) == whole, output


def test_three_kills_change_nothing(tmp_path: Path) -> None:
    check(tmp_path, kills=3, on_ray=lambda process: process == 1, trials=5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    check(tmp_path, kills=20, on_ray=lambda process: process % 4 < 3, trials=24)
