"""A process that the system kills while trials train in it: they go on from their checkpoints, or fail alone."""

import math
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from command_line import call
from processes import Running, recorded_epochs
from small_search import ON_RAY, differences, facts, make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

TRAINING = {"shared": "PassServer", "separate": "SpectralTrial"}
"""Which of Ray's processes train, by executor."""
ENDLESS = 100_000


def trainers(running: Running, executor: str) -> list[psutil.Process]:
    """The processes that train trials; Linux keeps 15 characters of a name."""
    found = []
    for process in running.look():
        with suppress(psutil.Error):
            if process.name()[:15] == f"ray::{TRAINING[executor]}"[:15]:
                found.append(process)
    return found


def two_trials(folder: Path, *epochs: int) -> Path:
    """A search of a trial for each number of epochs, one at a time and without ASHA."""
    grid = [{"fit.epochs": [number]} for number in epochs]
    search = {"sampler": "grid", "pruner": "none"}
    make_spec(folder, make_data(folder / "data"), fit={"patience": None}, space={}, grid=grid, search=search)
    return folder / "small.yaml"


@pytest.mark.slow
@pytest.mark.parametrize("executor", ON_RAY)
def test_killed_process_goes_on_from_its_checkpoint(tmp_path: Path, executor: str) -> None:
    spec, results = two_trials(tmp_path, 60, 61), tmp_path / "results"
    call("run", spec, "--name", "whole", "--results", results, "--executor", "inline", folder=tmp_path).require()
    paths = RunPaths(results, "killed")
    where = ["--results", results, "--no-dashboard", "--executor", executor]
    running = Running("run", spec, "--name", "killed", *where)
    found: list[psutil.Process] = []

    def trained_and_seen() -> bool:
        found[:] = trainers(running, executor)
        return recorded_epochs(paths.folder) >= 2 and bool(found)

    assert running.wait_for(trained_and_seen), running.end()[1]
    found[0].kill()
    code, output = running.end()
    assert code == 0, output
    assert running.survivors(grace=1.0) == []
    assert differences(facts(paths), facts(RunPaths(results, "whole"))) == [], output
    notes = [note for trial in RunRecord.load(paths).trials for note in trial.notes]
    assert len(notes) == 1
    assert "died" in notes[0]


@pytest.mark.slow
def test_process_that_dies_each_time_fails_its_trial_alone(tmp_path: Path) -> None:
    spec, results = two_trials(tmp_path, ENDLESS, 2), tmp_path / "results"
    paths = RunPaths(results, "killed")
    where = ["--results", results, "--no-dashboard", "--executor", "separate"]
    running = Running("run", spec, "--name", "killed", *where)
    victims: set[psutil.Process] = set()

    def over() -> bool:
        """Kill each process of the first trial as it has got on by an epoch."""
        fresh = set(trainers(running, "separate")) - victims
        if fresh and not paths.trial(1).folder.exists() and recorded_epochs(paths.folder) > len(victims):
            for process in fresh:
                process.kill()
            victims.update(fresh)
        return not running.alive

    running.wait_for(over, timeout=math.inf)
    code, output = running.end()
    assert code == 0, output
    first, second = RunRecord.load(paths).trials
    assert (first.state, second.state, second.last_epoch) == ("failed", "complete", 2)
    assert first.error is not None and first.error.startswith("its process died")
    assert "after 4 attempts (see trials/0000/log.txt)" in first.error
    assert len(first.notes) == 4  # three new attempts, and that it was given up


@pytest.mark.slow
def test_processes_of_trials_are_few_and_light(tmp_path: Path) -> None:
    """As many as trials at a time, however many trials ASHA stops, and none has loaded torch."""
    make_spec(tmp_path, make_data(tmp_path / "data"), resources={"concurrent": 3})
    arguments = ["--results", tmp_path / "results", "--no-dashboard", "--executor", "shared"]
    running = Running("run", tmp_path / "small.yaml", "--name", "light", *arguments)
    mapped: dict[psutil.Process, str] = {}

    def over() -> bool:
        for process in running.look():
            with suppress(psutil.Error, OSError):
                if process.name().startswith(("ray::PassTrial", "ray::ResourceTr")):
                    mapped[process] = Path(f"/proc/{process.pid}/maps").read_text()
        return not running.alive

    running.wait_for(over)
    code, output = running.end()
    assert code == 0, output
    assert sum(trial.state == "stopped" for trial in RunRecord.load(RunPaths(tmp_path / "results", "light")).trials) > 3
    assert len(mapped) == 3
    assert not any("libtorch" in maps for maps in mapped.values())
