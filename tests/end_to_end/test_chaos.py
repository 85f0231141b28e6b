"""SIGKILL to a search and all its Ray processes at random moments: resumed, it ends as if nothing had happened."""

import random
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from processes import END_SECONDS, Running, recorded_epochs
from small_search import ON_RAY, differences, facts, make_data, make_spec

from spectral_search.record.paths import RunPaths

SEED = 20
START_SECONDS = 8.0
"""About what Ray takes to start: kills fall into it as well as between epochs."""
DEFAULT = ON_RAY[0]


def kill_at_random_moments(spec: Path, results: Path, executors: Sequence[str]) -> tuple[RunPaths, str]:
    """Run a search and resume it until it ends, killing every process but the last; its paths and its last words.

    Args:
        spec: The search.
        results: Where its run goes.
        executors: What trains in each process in turn: one killed may be followed by another kind.
    """
    paths, rng = RunPaths(results, "chaos"), random.Random(SEED)
    *killed, last = executors
    for kills, executor in enumerate(killed):
        running, begun = _start(spec, paths, executor), paths.exists()
        # A quarter of the kills fall at any time, but for a machine on which the search would be over by then.
        patience = rng.uniform(0.0, START_SECONDS) if begun and rng.random() < 0.25 else END_SECONDS
        wanted = recorded_epochs(paths.folder) + rng.randint(1, 4)
        if running.wait_for(lambda wanted=wanted: recorded_epochs(paths.folder) >= wanted, patience):
            time.sleep(rng.uniform(0.0, 0.05))
        if not running.alive:
            raise AssertionError(f"the search was over after {kills} kills: {running.end()[1]}")
        running.kill()
    running = _start(spec, paths, last)
    code, output = running.end()
    assert code == 0, output
    assert not running.survivors()
    return paths, output


def _start(spec: Path, paths: RunPaths, executor: str) -> Running:
    verb = ["resume", paths.name] if paths.exists() else ["run", spec, "--name", paths.name]
    return Running(*verb, "--results", paths.root, "--no-dashboard", "--executor", executor)


def whole(spec: Path, results: Path, *options: str) -> dict[str, Any]:
    """The record of the same search without a kill, in this process: on one device the numbers are the same."""
    where = ["--results", results, "--executor", "inline"]
    call("run", spec, "--name", "whole", *where, *options, folder=spec.parent).require()
    return facts(RunPaths(results, "whole"))


def check_one_at_a_time(folder: Path, executors: Sequence[str], **search: Any) -> None:
    """With one trial at a time, what is proposed and stopped depends on nothing but the seed: all of it is equal."""
    spec = folder / "small.yaml"
    make_spec(folder, make_data(folder / "data"), search=search)
    expected = whole(spec, folder / "results")
    assert {trial["state"] for trial in expected["trials"]} == {"complete", "stopped"}
    paths, output = kill_at_random_moments(spec, folder / "results", executors)
    assert differences(facts(paths), expected) == [], output


@pytest.mark.slow
def test_a_kill_changes_nothing(tmp_path: Path) -> None:
    check_one_at_a_time(tmp_path, [DEFAULT, "inline"], trials=5)


@pytest.mark.slow
def test_a_kill_changes_nothing_of_what_a_model_proposes_and_asha_stops(tmp_path: Path) -> None:
    check_one_at_a_time(tmp_path, [DEFAULT, "separate", "inline"], trials=8, sampler="tpe", pruner="asha")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_change_nothing(tmp_path: Path) -> None:
    check_one_at_a_time(
        tmp_path, [*islice(cycle([*ON_RAY, "inline", "inline"]), 20), DEFAULT], trials=60, retest_seeds=2
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pruner", ["halving", "asha", "promote"])
def test_kills_of_trials_that_train_at_the_same_time_change_no_number(tmp_path: Path, pruner: str) -> None:
    """Which of them ASHA stops and promotion takes on depends on who came first; what each had reached does not.

    By halving not even the former does.
    """
    spec, results = tmp_path / "small.yaml", tmp_path / "results"
    grid = {"fit.lr": [3e-4, 1e-3, 3e-3, 1e-2], "model.dropout": [0.0, 0.2]}
    search, resources = {"sampler": "grid", "pruner": pruner}, {"gpus": [], "concurrent": 2}
    changes = {"space": {}, "grid": grid, "search": search, "resources": resources}
    make_spec(tmp_path, make_data(tmp_path / "data"), **changes)
    least = pruner if pruner == "halving" else "none"
    alone = whole(spec, results, "--concurrent", "1", "--set", f"search.pruner={least}")["trials"]
    paths, output = kill_at_random_moments(spec, results, [*islice(cycle(ON_RAY), 3), DEFAULT])
    found = facts(paths)
    assert found["state"] == "finished"
    if pruner == "halving":
        assert differences(found["trials"], alone) == [], output
    assert [trial["params"] for trial in found["trials"]] == [trial["params"] for trial in alone]
    assert {trial["state"] for trial in found["trials"]} == {"complete", "stopped"}
    for trial, reference in zip(found["trials"], alone, strict=True):
        epochs = trial["epochs"]
        assert differences(epochs, reference["epochs"][: len(epochs)]) == [], output
        assert trial["state"] == "stopped" or len(epochs) == len(reference["epochs"])
        assert trial["state"] == "complete" or len(epochs) in (2, 4, 8), "stopped at a rung"
