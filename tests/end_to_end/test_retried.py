"""A task of one's own that fails, and is mended: `retry` brings the search to where it would have been."""

import json
from pathlib import Path

import pytest
from command_line import call, errors
from small_cars import TASK, write_cars
from small_search import differences, facts

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow
LIMIT = """
class Limited(Cars):
    \"\"\"Refuses to measure what is far off, as long as a file beside it says so.\"\"\"

    def scores(self, predicted, target):
        from pathlib import Path

        found = super().scores(predicted, target)
        limit = Path(__file__).with_name("limit")
        if limit.exists() and found["mae"] > float(limit.read_text()):
            raise TypeError(f"an MAE of {found['mae']:.1f} hp cannot be measured")
        return found


TASK = Limited()
"""
RATES = [1e-5, 1e-2, 2e-5, 3e-3, 3e-5]
"""Every other one is too low to learn anything in time."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("limited")
    write_cars(folder / "cars.npz")
    (folder / "limited.py").write_text(TASK.read_text().replace("TASK = Cars()", LIMIT))
    spec = {
        "task": str(folder / "limited.py"),
        "data": {"root": str(folder / "cars.npz")},
        "model": {"kind": "mlp", "hidden": [32]},
        "fit": {"epochs": 5, "batch_size": 64, "precision": "float32"},
        "grid": {"fit.lr": RATES},
        "search": {"sampler": "grid", "pruner": "none", "finalists": 1, "retest_seeds": 1},
        "resources": {"gpus": [], "concurrent": 2},
    }
    (folder / "cars.yaml").write_text(json.dumps(spec))
    run(folder, "whole", "inline")
    return folder


def run(place: Path, name: str, executor: str) -> RunPaths:
    options = ("--name", name, "--executor", executor, "--no-dashboard", "--results", place / "results")
    call("run", place / "cars.yaml", *options, folder=place).require()
    return RunPaths(place / "results", name)


@pytest.mark.parametrize("executor", ["inline", "shared", "separate"])
def test_a_mended_task_ends_with_the_leaderboard_of_one_that_never_failed(place: Path, executor: str) -> None:
    where = ("--results", place / "results")
    limit = place / "limit"
    limit.write_text("30")
    try:
        paths = run(place, executor, executor)
        told = call("status", executor, *where, "--json", folder=place).require().json()
    finally:
        limit.unlink()
    (group,) = told["failures"]
    assert group["cause"] == "error in own task: TypeError: an MAE of ... hp cannot be measured"
    assert group["trials"] == [0, 2, 4] and group["of"] == 5
    assert group["example"]["error"].startswith("limited.py:")
    done = call("retry", executor, *where, "--executor", executor, "--no-dashboard", folder=place).require()
    assert "3 of 5 trials failed: error in own task: TypeError" in " ".join(done.stdout.split())
    whole = facts(RunPaths(place / "results", "whole"))
    assert differences(facts(paths), whole) == []
    assert RunRecord.load(paths).failures == []
    (refused,) = errors(call("retry", executor, *where, folder=place).require(2))
    assert refused.startswith(f"No trial of {executor} failed")


def test_a_search_in_which_nothing_trains_stops_and_a_retry_carries_it_to_its_end(place: Path) -> None:
    where = ("--results", place / "results")
    limit = place / "limit"
    limit.write_text("0")
    options = ("--name", "hopeless", "--executor", "inline", *where)
    paths = RunPaths(place / "results", "hopeless")
    try:
        for verb in (("run", place / "cars.yaml", *options), ("resume", "hopeless", "--executor", "inline", *where)):
            (told,) = errors(call(*verb, folder=place).require(1))
            assert told.startswith(
                "The search stopped after 4 of 5 trials: nothing trains, 4 of them failed of one cause"
            )
            assert "spectral-search retry hopeless" in told
            assert RunRecord.load(paths).state == "interrupted" and RunRecord.load(paths).count("failed") == 4
    finally:
        limit.unlink()
    call("retry", "hopeless", "--executor", "inline", *where, folder=place).require()
    assert differences(facts(paths), facts(RunPaths(place / "results", "whole"))) == []


def test_a_part_that_fails_is_paused_and_the_search_ends_without_it(place: Path) -> None:
    """Rates too low to learn fail; the plan, status and the end of the search say what became of them."""
    where = ("--results", place / "results")
    limit = place / "limit"
    limit.write_text("30")
    spec = json.loads((place / "cars.yaml").read_text())
    spec["space"] = {"fit.lr": {"choice": [1e-5, 1e-2]}, "fit.weight_decay": {"choice": [0.0, 1e-4, 1e-3, 1e-2, 1e-1]}}
    spec["search"] = {**spec["search"], "sampler": "random", "trials": 10}
    (place / "paused.yaml").write_text(json.dumps({key: part for key, part in spec.items() if key != "grid"}))
    try:
        options = ("--name", "paused", "--executor", "inline", "--concurrent", "1", *where)
        done = call("run", place / "paused.yaml", *options, folder=place).require()
    finally:
        limit.unlink()
    shown = " ".join(done.stdout.split())
    assert "3 failures of one cause close that part of the space" in shown
    assert "paused: fit.lr 1e-05 gets no more trials" in shown
    assert "The search ends with 8 of 10 trials: what is left of the space is paused." in shown
    told = call("status", "paused", *where, "--json", folder=place).require().json()
    assert told["paused"][0]["part"] == {"key": "fit.lr", "relation": "is", "value": 1e-5}
    assert told["trials"] == {"complete": 5, "stopped": 0, "failed": 3}
