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
        if Path(__file__).with_name("limit").exists() and found["mae"] > 30:
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
    limit.touch()
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
