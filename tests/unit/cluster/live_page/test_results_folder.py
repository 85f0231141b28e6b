import shutil
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_runs import MakeRun

from spectral_search.cluster.live_page import results_folder
from spectral_search.cluster.live_page.results_folder import ResultsFolder
from spectral_search.cluster.live_page.run_list import runs_document
from spectral_search.errors import RequestError
from spectral_search.record.overview import FIRST_RUN
from spectral_search.record.paths import RunPaths


def test_an_absent_folder_and_an_empty_one_say_how_to_begin(tmp_path: Path) -> None:
    found = runs_document(ResultsFolder(tmp_path / "nowhere"))
    assert (found["runs"], found["exists"]) == ([], False)
    assert found["begin"] == FIRST_RUN
    assert runs_document(ResultsFolder(tmp_path))["exists"]


def test_runs_have_state_and_best_value_in_their_own_metric(make_run: MakeRun, finished_run: RunPaths) -> None:
    make_run("died", process_started=1.0)
    broken = make_run("broken", trials=0)
    broken.manifest_json.write_text("{")
    runs = {run["name"]: run for run in runs_document(ResultsFolder(finished_run.root))["runs"]}
    assert runs["cnn_stage1a"]["state"] == "finished" and runs["cnn_stage1a"]["best"] == 0.61
    # Trial 3 failed: its value is none that a search would choose.
    assert runs["died"]["state"] == "interrupted" and runs["died"]["best"] == 0.61
    assert runs["died"]["counts"] == {"complete": 2, "stopped": 1, "failed": 1, "running": 1, "waiting": 0}
    assert runs["died"]["metric"]["higher"] is True and runs["died"]["is_default_task"]
    assert runs["broken"]["state"] == "unreadable" and "manifest.json" in runs["broken"]["fault"]


def test_a_listing_looks_into_no_more_runs_than_it_has_time_for(make_run: MakeRun) -> None:
    folder = ResultsFolder(make_run("one", process_started=1.0).root)
    make_run("two", process_started=1.0)
    assert [glance for _, glance in folder.runs(look_seconds=-1.0)] == [None, None]
    assert all(glance is not None for _, glance in folder.runs(look_seconds=60.0))
    assert all(glance is not None for _, glance in folder.runs(look_seconds=-1.0))


def test_runs_that_run_are_looked_into_first(make_run: MakeRun) -> None:
    for number in range(8):
        make_run(f"old{number}", process_started=1.0, created_at=f"2025-01-0{number + 2}T00:00:00+00:00")
    folder = ResultsFolder(make_run("live", created_at="2025-01-01T00:00:00+00:00").root)
    looked: list[str] = []
    folder._glance = lambda run, until: looked.append(run.name)  # type: ignore[method-assign, func-returns-value]
    assert [run.name for run, _ in folder.runs()][-1] == "live"
    assert looked[0] == "live" and len(looked) == 9


def test_of_many_runs_that_run_each_has_its_turn(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ResultsFolder(make_run("run0").root)
    for number in range(1, 20):
        make_run(f"run{number}")
    clock = count()  # a second for each of them, of four that a listing has
    monkeypatch.setattr(results_folder, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    for _ in range(5):
        found = folder.runs(look_seconds=4.0)
    assert [run.name for run, glance in found if glance is None] == []


def test_a_run_that_was_removed_is_gone_and_one_that_was_moved_here_is_there(make_run: MakeRun) -> None:
    paths = make_run("here")
    folder = ResultsFolder(paths.root)
    assert folder.watched("here").read(0.0).trials
    shutil.move(paths.folder, paths.root / "moved")
    with pytest.raises(RequestError, match="No run 'here'"):
        folder.watched("here")
    assert [summary.name for summary, _ in folder.runs()] == ["moved"]
    assert folder.watched("moved").read(0.0).trials
    with pytest.raises(RequestError, match="cannot name a run"):
        folder.watched("../here")
