"""Two real processes that work on one run together, of which one is killed."""

from pathlib import Path

import pytest
from command_line import call, errors
from processes import Running, recorded_epochs
from small_search import differences, facts, make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

GRID = {
    "search": {"sampler": "grid", "pruner": "none"},
    "grid": {"fit.lr": [1e-4, 3e-4, 1e-3, 3e-3]},
    "resources": {"gpus": [], "concurrent": 1},
    "fit": {"epochs": 150, "patience": None},
}


@pytest.mark.slow
def test_two_processes_share_a_search_and_the_trial_of_a_killed_one_is_taken_up(tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"), **GRID)
    results, spec = tmp_path / "results", tmp_path / "small.yaml"
    call("run", spec, "--name", "whole", "--results", results, "--executor", "inline", folder=tmp_path).require()
    paths = RunPaths(results, "shared")
    one, other = (Running("run", spec, "--join", "shared", "--results", results) for _ in range(2))
    both = [paths.trial(number).progress_jsonl for number in (0, 1)]
    assert one.wait_for(lambda: all(path.exists() for path in both)), one.end()[1]
    assert call("status", "shared", "--json", "--results", results, folder=tmp_path).json()["state"] == "running"
    assert (
        "works on run shared" in errors(call("resume", "shared", "--results", results, folder=tmp_path).require(2))[0]
    )
    one.kill()
    reached = recorded_epochs(paths.folder)
    assert reached < 600
    assert call("status", "shared", "--json", "--results", results, folder=tmp_path).json()["state"] == "running"
    code, said = other.end()
    assert code == 0 and "shared: finished" in said, said
    assert differences(facts(paths), facts(RunPaths(results, "whole"))) == []
    notes = [note for trial in RunRecord.load(paths).trials for note in trial.notes]
    assert len(notes) == 1 and "together with others" in notes[0]
    third = Running("run", spec, "--join", "shared", "--results", results)
    assert third.end()[0] == 0


@pytest.mark.slow
def test_processes_that_both_live_train_each_trial_once_and_one_of_them_finishes(tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 40}, search={"retest_seeds": 2})
    results, spec = tmp_path / "results", tmp_path / "small.yaml"
    running = [Running("run", spec, "--join", "shared", "--results", results) for _ in range(3)]
    ends = [process.end() for process in running]
    assert [code for code, _ in ends] == [0, 0, 0], ends
    found = facts(RunPaths(results, "shared"))
    assert found["state"] == "finished" and len(found["trials"]) == 8
    assert len({str(trial["params"]) for trial in found["trials"]}) == 8
    assert sum("Re-test with other seeds: training" in said for _, said in ends) == 1, ends


def test_a_folder_that_others_may_write_is_not_joined(tmp_path: Path) -> None:
    make_spec(tmp_path, tmp_path)
    paths = RunPaths(tmp_path / "results", "shared").create()
    paths.folder.chmod(0o777)
    done = call("run", tmp_path / "small.yaml", "--join", "shared", "--results", paths.root, folder=tmp_path).require(2)
    assert "Everybody may write to" in errors(done)[0]
