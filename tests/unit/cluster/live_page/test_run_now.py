import json
import re
import shlex

from made_runs import MakeRun
from pytest import MonkeyPatch

from spectral_search.cluster.live_page.results_folder import ResultsFolder, WatchedRun
from spectral_search.cluster.live_page.run_importance import importance_document
from spectral_search.cluster.live_page.run_list import runs_document
from spectral_search.cluster.live_page.run_now import curves_text, run_document, trials_document
from spectral_search.cluster.live_page.runs_compared import comparison_document
from spectral_search.cluster.live_page.server import BROWSER
from spectral_search.record.paths import RunPaths
from spectral_search.run.under_way import UnderWay

MAKERS = (run_document, trials_document, importance_document)


def test_a_live_run_tells_how_good_how_far_and_what_trains_where(make_run: MakeRun) -> None:
    paths = make_run()
    with UnderWay(paths.under_way("inline")).training([4]):
        found = run_document(WatchedRun(paths), now=0.0)
    assert (found["state"], found["phase"]) == ("running", "training")
    assert (found["best"]["trial"], found["best"]["epoch"], found["best"]["value"]) == (1, 3, 0.61)
    assert found["counts"] == {"complete": 2, "stopped": 1, "failed": 1, "running": 1, "waiting": 0}
    assert found["epochs"] == 13 and found["epochs_planned"] > 13
    assert [(trial["trial"], trial["epoch"], trial["epochs"]) for trial in found["live"]] == [(4, 1, 4)]
    assert [(worker["worker"], worker["trials"]) for worker in found["workers"]] == [("this search's own process", [4])]
    program, url = shlex.split(found["optuna_command"])
    assert program == "optuna-dashboard" and url.endswith("study.db?mode=ro&uri=true")
    json.dumps(found, allow_nan=False)


def test_rungs_tell_who_went_on(make_run: MakeRun) -> None:
    found = run_document(WatchedRun(make_run()), now=0.0)
    first = found["rungs"][0]
    assert first == {"epoch": 1, "reached": 5, "waiting": 0, "stopped": 0, "went_on": 4, "worst_that_went_on": 0.01}


def test_failures_come_by_cause(make_run: MakeRun) -> None:
    (group,) = run_document(WatchedRun(make_run()), now=0.0)["failures"]
    assert group["cause"] == "not a finite loss" and group["trials"] == [3]


def names_in(document: object) -> set[str]:
    """Names of all fields, in whatever they are nested; a parameter is data, not a field."""
    if isinstance(document, list):
        return set().union(*map(names_in, document))
    if not isinstance(document, dict):
        return set()
    nested = [names_in(value) for name, value in document.items() if name not in ("params", "test")]
    return set(document).union(*nested)


def test_the_page_shows_all_that_it_is_told(make_run: MakeRun, finished_run: RunPaths) -> None:
    make_run("live")
    folder = ResultsFolder(finished_run.root)
    documents = [
        *(
            make(WatchedRun(RunPaths(finished_run.root, name)), now=0.0)
            for make in MAKERS
            for name in ("live", "cnn_stage1a")
        ),
        comparison_document(folder, ["live", "cnn_stage1a"]),
        runs_document(folder),
    ]
    scripts = " ".join(path.read_text() for path in BROWSER.glob("*.js"))
    unread = {name for name in names_in(documents) if not re.search(rf"\b{name}\b", scripts)}
    assert unread - {"complete", "stopped", "failed", "running", "waiting"} == set()


def test_a_dead_run_says_what_it_trained_when_it_died(make_run: MakeRun) -> None:
    paths = make_run(process_started=1.0)
    paths.under_way_dir.mkdir()
    paths.under_way("0123").write_text('{"trials": [4], "deaths": 0}')
    paths.under_way("4567").write_text('{"tri')
    found = run_document(WatchedRun(paths), now=0.0)
    assert found["state"] == "interrupted" and [worker["trials"] for worker in found["workers"]] == [[4]]


def test_trials_come_best_first_with_a_column_a_parameter(finished_run: RunPaths) -> None:
    found = trials_document(WatchedRun(finished_run), now=0.0)
    assert [trial["trial"] for trial in found["trials"]] == [1, 2, 0, 3]
    assert found["params"] == [
        {"key": "fit.lr", "name": "lr", "log": True},
        {"key": "model.kernel_size", "name": "kernel_size", "log": False},
    ]
    assert found["trials"][0]["params"] == [3e-3, 9]
    assert [metric["key"] for metric in found["others"]] == ["val_mae_dex", "val_rmse_dex"]


def test_curves_have_a_gap_where_there_is_no_number(make_run: MakeRun, monkeypatch: MonkeyPatch) -> None:
    run = WatchedRun(make_run())
    curves = json.loads(curves_text(run, now=0.0))["curves"]
    assert curves[3] == {"trial": 3, "state": "failed", "values": [0.7, None]}
    again: list[int] = []
    monkeypatch.setattr("spectral_search.cluster.live_page.run_now._curve", lambda trial: again.append(trial.number))
    assert json.loads(curves_text(run, now=0.0))["curves"] == curves and not again


def test_importances_wait_for_enough_trials(make_run: MakeRun) -> None:
    found = importance_document(WatchedRun(make_run()), now=0.0)
    assert (found["share"], found["trials"], found["needed"]) == ([], 3, 12)
