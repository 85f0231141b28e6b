"""Whole searches with a trial that cannot learn: it is stopped early and called collapsed wherever trials are shown."""

from pathlib import Path
from typing import Any

import pytest
from command_line import Done, call, spawn, write_spec
from learnable_root import write_root
from small_search import ON_RAY

from spectral_search import service
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

pytestmark = pytest.mark.slow

SEARCH = """
model: {kind: mlp, hidden: [16]}
data: {noise_level: 1.0}
fit: {epochs: 8, batch_size: 64, precision: float32}
grid: {fit.lr: [1.0e-2, 10.0, 3.0e-3]}
search: {sampler: grid, pruner: none, collapse_epochs: 4, finalists: 3, retest_draws: 2, retest_seeds: 1}
resources: {gpus: []}
"""
OPTIONS = ["--data-root", "data", "--concurrent", "3", "--num-train", "320", "--no-dashboard", "--json"]
DEAD = 1
CAUSE = "Likely cause: fit.lr 10 is too high for"  # by others where trials go in step, else by the kind of network


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and the spec of a small search."""
    folder = tmp_path_factory.mktemp("collapse")
    write_root(folder / "data", pixels=128, with_noisy=True)
    write_spec(folder / "search.yaml", SEARCH)
    return folder


@pytest.fixture(scope="module")
def inline(place: Path) -> Done:
    """The search in this process."""
    return call("run", "search.yaml", "--name", "inline", "--executor", "inline", *OPTIONS, folder=place).require()


def record_of(place: Path, name: str) -> RunRecord:
    return RunRecord.load(RunPaths(place / "ray_results", name))


def check(record: RunRecord, document: dict[str, Any], errors: str) -> None:
    """One dead trial, stopped at its fourth epoch and told everywhere; the others trained to their end."""
    assert [(trial.state, trial.last_epoch) for trial in record.trials] == [
        ("complete", 8),
        ("stopped", 4),
        ("complete", 8),
    ]
    (dead,) = record.collapsed
    assert dead.number == DEAD and dead.collapsed is not None and CAUSE in dead.collapsed
    assert record.paths.trial(DEAD).log_txt.read_text() == f"Collapsed: {dead.collapsed}\n"
    assert document["trials"] == {"complete": 2, "stopped": 1, "failed": 0}
    assert document["collapsed"] == [{"trial": DEAD, "reason": dead.collapsed}]
    assert f"trial {DEAD} collapsed after 4 epochs" in errors and CAUSE in errors
    finalists = record.manifest.retest["finalists"] if record.manifest.retest else []
    assert {finalist["trial"] for finalist in finalists} == {0, 2}, "what learnt nothing is not re-tested"


def test_inline_it_is_stopped_and_told(place: Path, inline: Done) -> None:
    check(record_of(place, "inline"), inline.json(), inline.stderr)


def test_status_leaderboard_and_report_say_so(place: Path, inline: Done) -> None:
    shown = call("status", "inline", folder=place).require()
    text = " ".join((shown.stdout + shown.stderr).split())
    assert "2 complete, 1 stopped (1 collapsed)" in text
    assert f"trial {DEAD} collapsed: no better than the mean label in all its 4 epochs" in text
    assert any(line.split()[:2] == ["3", str(DEAD)] and "collapsed" in line for line in shown.stdout.splitlines())
    page = place / "report.html"
    service.report(["inline"], str(page), service.silent(), str(place / "ray_results"))
    words = page.read_text(encoding="utf-8")
    assert "1 of 3 trials collapsed" in words and CAUSE in words


@pytest.mark.parametrize("executor", ON_RAY)
def test_on_ray_it_is_the_same(place: Path, executor: str) -> None:
    done = spawn("run", "search.yaml", "--name", executor, "--executor", executor, *OPTIONS, folder=place).require()
    check(record_of(place, executor), done.json(), done.stderr)


def test_in_a_search_by_promotion_too(place: Path) -> None:
    options = [*OPTIONS, "--set", "search.pruner=promote", "--set", "search.min_epochs=4"]
    done = call("run", "search.yaml", "--name", "promoted", "--executor", "inline", *options, folder=place).require()
    record = record_of(place, "promoted")
    assert [trial.number for trial in record.collapsed] == [DEAD]
    assert record.trials[DEAD].state == "stopped" and record.trials[DEAD].last_epoch == 4
    assert done.json()["state"] == "finished"
