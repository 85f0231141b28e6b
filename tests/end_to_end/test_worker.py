"""A trial whose process the system kills, on Ray: it goes on from its checkpoint, and fails if that does not help."""

from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from processes import Running, recorded_epochs
from small_search import cli, facts, make_data, make_spec

from spectral_search.results.paths import RunPaths
from spectral_search.results.records import RunRecord


def trainers(running: Running) -> list[psutil.Process]:
    """The processes that train trials; Linux keeps 15 characters of a name."""
    found = []
    for process in running.look():
        with suppress(psutil.Error):
            if process.name().startswith("ray::SpectralTri"[:15]):
                found.append(process)
    return found


@pytest.mark.slow
def test_killed_worker_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    spec, results = tmp_path / "small.yaml", tmp_path / "results"
    changes = {"fit": {"epochs": 60, "patience": None}, "search": {"trials": 2, "pruner": "none"}}
    make_spec(tmp_path, make_data(tmp_path / "data"), **changes)
    assert cli("run", spec, "--name", "whole", "--results", results, "--executor", "inline").returncode == 0
    paths = RunPaths(results, "killed")
    running = Running("run", spec, "--name", "killed", "--results", results, "--no-dashboard")
    found: list[psutil.Process] = []

    def trained_and_seen() -> bool:
        found[:] = trainers(running)
        return recorded_epochs(paths.folder) >= 2 and bool(found)

    assert running.wait_for(trained_and_seen), running.end()[1]
    found[0].kill()
    code, output = running.end()
    assert code == 0, output
    assert facts(paths) == facts(RunPaths(results, "whole")), output
    notes = [note for trial in RunRecord.load(paths).trials for note in trial.notes]
    assert len(notes) == 1
    assert "its process died" in notes[0]


@pytest.mark.slow
def test_worker_that_dies_each_time_fails_its_trial_alone(tmp_path: Path) -> None:
    spec, results = tmp_path / "small.yaml", tmp_path / "results"
    changes = {"fit": {"epochs": 2000, "patience": None}, "search": {"trials": 2, "pruner": "none"}}
    make_spec(tmp_path, make_data(tmp_path / "data"), **changes)
    paths = RunPaths(results, "killed")
    running = Running("run", spec, "--name", "killed", "--results", results, "--no-dashboard")
    victims: set[psutil.Process] = set()

    def failed() -> bool:
        """Kill each process of the first trial as it has got on by an epoch."""
        fresh = set(trainers(running)) - victims
        epochs = recorded_epochs(paths.folder)
        if fresh and epochs > len(victims):
            for process in fresh:
                process.kill()
            victims.update(fresh)
        return (paths.trials_dir / "0001" / "progress.jsonl").exists()

    assert running.wait_for(failed, timeout=240)
    running.process.terminate()
    assert running.end()[0] == 130
    first, second = RunRecord.load(paths).trials
    assert (first.state, second.state) == ("failed", "running")
    assert first.error is not None and first.error.startswith("its process died")
    assert "after 4 attempts (see trials/0000/log.txt)" in first.error
    assert len(first.notes) == 4  # three new attempts, and that it was given up
