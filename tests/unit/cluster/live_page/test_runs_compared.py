import pytest
from made_runs import MakeRun

from spectral_search.cluster.live_page.results_folder import ResultsFolder
from spectral_search.cluster.live_page.runs_compared import best_so_far, comparison_document
from spectral_search.errors import RequestError
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord


def test_the_best_so_far_comes_in_the_order_of_the_clock(make_run: MakeRun) -> None:
    paths = make_run()
    for number, (at, value) in enumerate([(30.0, 0.1), (10.0, 0.2), (20.0, 0.5), (5.0, 0.9), (40.0, 0.4)]):
        line = f'{{"epoch": 1, "val_r2": {value}, "at_unix_seconds": {at}}}\n'
        write_atomic(paths.trial(number).progress_jsonl, line)
    # The first of all, of trial 3, failed: no search would choose it.
    assert best_so_far(RunRecord.load(paths)) == [(2, 0.2), (3, 0.5), (5, 0.5)]


def test_live_and_finished_runs_stand_side_by_side(make_run: MakeRun, finished_run: RunPaths) -> None:
    make_run("live")
    found = comparison_document(ResultsFolder(finished_run.root), ["live", "cnn_stage1a", "live"])
    live, finished = found["runs"]
    assert (live["state"], live["first"], live["against_first"]) == ("running", None, None)
    assert finished["retest"] == {"value": 0.603, "low": 0.588, "high": 0.617}
    assert finished["first"] == "cnn_stage1a" and finished["curve"][-1] == (12, 0.61)


def test_what_cannot_be_compared_is_said(make_run: MakeRun, finished_run: RunPaths) -> None:
    changes = {"state": "finished", "best": {"trial": 1, "epoch": 3, "val_r2": 0.61}}
    make_run("other", trials=4, **changes)
    _, other = comparison_document(ResultsFolder(finished_run.root), ["cnn_stage1a", "other"])["runs"]
    assert other["against_first"]["gain"] is None and other["against_first"]["verdict"]
    with pytest.raises(RequestError, match="13 runs were named"):
        comparison_document(ResultsFolder(finished_run.root), [f"run{number}" for number in range(13)])
