"""A run is read whatever became of it, and reading changes nothing."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import psutil
import pytest
from made_runs import TRIALS, write_trials

from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line, write_atomic
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord, list_runs, newest_finished, run_document
from spectral_search.record.stored_trials import read_study

MakeRun = Callable[..., RunPaths]


def test_trials_join_the_study_and_the_progress_files(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run())
    assert [trial.state for trial in record.trials] == ["stopped", "complete", "complete", "failed", "running"]
    winner = record.best
    assert winner is not None
    assert (winner.number, winner.best_epoch, winner.best_value, winner.last_epoch) == (1, 3, 0.61, 4)
    assert winner.params == {"fit.lr": 3e-3, "model.kernel_size": 9}
    assert winner.best_metrics["val_mae_dex"] == pytest.approx(0.5 - 0.61 / 4)
    assert winner.seconds == 8.0
    assert record.trials[3].error == "loss became NaN in epoch 2"
    assert record.epochs_trained == 2 + 4 + 4 + 2 + 1
    assert [trial.number for trial in record.ranked()] == [1, 2, 4, 0, 3]


@pytest.mark.parametrize("log", ["whole", "cut", "gone"])
def test_a_run_of_the_version_before_reads_the_same(make_run: MakeRun, log: str) -> None:
    """Its study holds the values of all epochs; where the log of them is damaged they are taken from there."""
    expected = RunRecord.load(make_run())
    paths = make_run("older", trials=0, study_name="the-first-name")
    write_trials(paths, TRIALS, version_before=True)
    file = paths.trial(2).progress_jsonl
    if log == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif log == "gone":
        file.unlink()
    found = RunRecord.load(paths)
    for one, other in zip(found.trials, expected.trials, strict=True):
        assert (one.state, one.params, one.best_value, one.best_epoch) == (
            *(other.state, other.params, other.best_value, other.best_epoch),
        )
        assert [row["val_r2"] for row in one.epochs] == [row["val_r2"] for row in other.epochs]
    assert run_document(found)["trials"] == run_document(expected)["trials"]


def test_a_damaged_log_is_told_and_the_rest_is_read(make_run: MakeRun) -> None:
    paths = make_run()
    file = paths.trial(2).progress_jsonl
    file.write_bytes(b"\0\0\n" + file.read_bytes())
    record = RunRecord.load(paths)
    assert any("Line 1 of" in note and "trials/0002/progress.jsonl" in note for note in record.notes)
    assert [len(trial.epochs) for trial in record.trials] == [2, 4, 0, 2, 1]


def test_the_document_of_a_finished_run_is_exactly_the_contract(finished_run: RunPaths) -> None:
    assert run_document(RunRecord.load(finished_run)) == {
        "name": "cnn_stage1a",
        "path": str(finished_run.folder),
        "state": "finished",
        "best": {"trial": 1, "epoch": 3, "val_r2": 0.61, "params": {"fit.lr": 3e-3, "model.kernel_size": 9}},
        "retest": {"r2": 0.603, "low": 0.588, "high": 0.617},
        "trials": {"complete": 2, "stopped": 1, "failed": 1},
        "epochs_trained": 12,
        "wall_seconds": 754.2,
        "failures": [
            {
                "cause": "not a finite loss",
                "count": 1,
                "of": 4,
                "trials": [3],
                "where": None,
                "condition": None,
                "example": {"trial": 3, "error": "loss became NaN in epoch 2", "log": "trials/0003/log.txt"},
            }
        ],
    }


def test_the_document_of_a_running_run_tells_of_live_trials(make_run: MakeRun) -> None:
    document = run_document(RunRecord.load(make_run()))
    assert document["state"] == "running"
    assert document["trials"] == {"complete": 2, "stopped": 1, "failed": 1, "running": 1, "waiting": 0}
    live = {
        "trial": 4,
        "epoch": 1,
        "val_r2": 0.33,
        "best_val_r2": 0.33,
        "params": {"fit.lr": 2e-3, "model.kernel_size": 7},
    }
    assert document["live"] == [live]
    assert document["retest"] is None


def test_the_winner_entered_at_the_end_counts_even_if_another_leads_on_val(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run(state="finished", best={"trial": 2, "epoch": 4, "val_r2": 0.55}))
    assert record.best is not None and record.best.number == 2


def test_a_resumed_run_does_not_show_the_re_test_of_an_earlier_winner(make_run: MakeRun) -> None:
    scores = {"retest": {"r2": 0.5, "low": 0.4, "high": 0.6}, "test": {"r2": 0.5}}
    same = RunRecord.load(make_run("same", best={"trial": 1, "epoch": 2, "val_r2": 0.52}, **scores))
    other = RunRecord.load(make_run("other", best={"trial": 2, "epoch": 4, "val_r2": 0.55}, **scores))
    assert same.state == other.state == "running"
    assert (same.retest, same.test) == (scores["retest"], scores["test"])
    assert (other.retest, other.test) == (None, None)
    assert run_document(other)["retest"] is None


def test_reading_changes_no_byte(finished_run: RunPaths) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in finished_run.folder.rglob("*") if path.is_file()}

    before = content()
    RunRecord.load(finished_run)
    assert content() == before


def test_a_run_moved_elsewhere_reads_the_same(finished_run: RunPaths, tmp_path: Path) -> None:
    before = run_document(RunRecord.load(finished_run))
    moved = RunPaths(tmp_path / "a new place", "renamed")
    moved.root.mkdir()
    shutil.move(finished_run.folder, moved.folder)
    after = run_document(RunRecord.load(moved))
    assert after == {**before, "name": "renamed", "path": str(moved.folder)}


def test_a_recycled_process_number_is_not_the_search(make_run: MakeRun) -> None:
    started = psutil.Process().create_time()
    assert RunRecord.load(make_run("alive")).state == "running"
    assert RunRecord.load(make_run("recycled", process_started=started - 60)).state == "interrupted"


def test_a_killed_search_is_interrupted_and_its_time_is_kept(make_run: MakeRun) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = psutil.Process(sleeper.pid).create_time()
    paths = make_run(pid=sleeper.pid, process_started=started, wall_seconds=100.0)
    assert RunRecord.load(paths, now=started + 50).wall_seconds == pytest.approx(150.0)
    sleeper.kill()
    # Killed but not yet waited for: a zombie, which works no more.
    deadline = time.monotonic() + 5
    while RunRecord.load(paths).state == "running" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert RunRecord.load(paths).state == "interrupted"
    sleeper.wait()
    for path in (paths.study_db, paths.manifest_json, *paths.trials_dir.glob("*/progress.jsonl")):
        os.utime(path, (started + 30, started + 30))
    record = RunRecord.load(paths, now=started + 5000)
    assert (record.state, round(record.wall_seconds)) == ("interrupted", 130)
    assert "live" not in run_document(record)


def test_a_run_on_another_host_is_judged_by_its_files(make_run: MakeRun) -> None:
    paths = make_run(hostname="another-host.invalid")
    written = paths.trial(4).progress_jsonl.stat().st_mtime
    assert RunRecord.load(paths, now=written + 60).state == "running"
    assert RunRecord.load(paths, now=written + 3600).state == "interrupted"


def test_a_search_that_has_not_begun_its_study_has_no_trials(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run(trials=0))
    assert (record.state, record.trials, record.best) == ("running", [], None)
    assert run_document(record)["best"] is None


def test_a_missing_study_is_a_fault(finished_run: RunPaths) -> None:
    finished_run.study_db.unlink()
    with pytest.raises(RequestError, match=r"study\.db is missing"):
        RunRecord.load(finished_run)
    assert not finished_run.study_db.exists()


def test_a_study_that_is_not_in_the_database_is_a_fault(make_run: MakeRun) -> None:
    with pytest.raises(RequestError, match="'misnamed'.*not in"):
        RunRecord.load(make_run(study_name="misnamed"))


def test_a_locked_study_is_a_plain_sentence(make_run: MakeRun) -> None:
    paths = make_run()
    holder = sqlite3.connect(paths.study_db)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RequestError, match="held by another process.*try again") as caught:
        read_study(paths.study_url, "the-first-name", lock_wait_s=0.1)
    holder.close()
    assert "\n" not in str(caught.value)
    assert len(read_study(paths.study_url, "the-first-name") or []) == 5


@pytest.mark.parametrize("content", [b"hello" * 1000, b"", None])
def test_a_damaged_study_is_a_plain_sentence(finished_run: RunPaths, content: bytes | None) -> None:
    whole = finished_run.study_db.read_bytes()
    finished_run.study_db.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(RequestError, match="cannot be read") as caught:
        RunRecord.load(finished_run)
    assert "\n" not in str(caught.value)


def test_a_search_killed_in_the_middle_of_a_write_is_read(make_run: MakeRun, tmp_path: Path) -> None:
    paths = make_run(pid=None)
    # A copy taken inside a transaction that has spilt to disk is what a kill leaves: a hot journal.
    writer = sqlite3.connect(paths.study_db)
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN IMMEDIATE")
    writer.executemany(
        "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, ?, ?)",
        [(str(number), "x" * 2000) for number in range(200)],
    )
    torn = RunPaths(tmp_path / "torn", paths.name)
    shutil.copytree(paths.root, torn.root)
    writer.rollback()
    writer.close()
    journal = torn.study_db.with_name("study.db-journal")
    assert journal.stat().st_size > 0
    assert len(RunRecord.load(torn).trials) == 5


def test_another_database_url_is_used_as_it_stands(make_run: MakeRun, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared.db"
    paths = make_run(storage=f"sqlite:///{elsewhere}")
    shutil.move(paths.study_db, elsewhere)
    assert len(RunRecord.load(paths).trials) == 5


@pytest.mark.parametrize("storage", ["not a url", "nodialect://host/db"])
def test_a_storage_that_is_no_database_is_a_plain_sentence(make_run: MakeRun, storage: str) -> None:
    with pytest.raises(RequestError, match="database URL|cannot be read"):
        RunRecord.load(make_run(storage=storage))


def test_an_unreachable_database_hides_its_password() -> None:
    with pytest.raises(RequestError) as caught:
        read_study("postgresql://user:secret@localhost:1/db", "x")
    assert "secret" not in str(caught.value)


def test_a_cut_progress_line_costs_only_that_line(make_run: MakeRun) -> None:
    paths = make_run()
    progress = paths.trial(1).progress_jsonl
    progress.write_bytes(progress.read_bytes()[:-10])
    trial = RunRecord.load(paths).trials[1]
    assert (trial.last_epoch, trial.best_epoch, trial.best_value) == (3, 3, 0.61)


def test_a_repeated_epoch_counts_once_and_the_last_line_stands(make_run: MakeRun) -> None:
    paths = make_run()
    append_line(paths.trial(4).progress_jsonl, {"epoch": 1, "val_r2": 0.33, "seconds": 5.0})
    append_line(paths.trial(4).progress_jsonl, {"epoch": 2, "val_r2": 0.35, "seconds": 5.0})
    trial = RunRecord.load(paths).trials[4]
    assert (trial.last_epoch, len(trial.epochs), trial.seconds, trial.best_epoch) == (2, 2, 10.0, 2)


def test_a_damaged_progress_file_is_noted_and_the_study_stands_in(make_run: MakeRun) -> None:
    paths = make_run()
    write_atomic(paths.trial(1).progress_jsonl, b"\x00\x00\n{}\n")
    record = RunRecord.load(paths)
    assert record.trials[1].best_value == 0.61
    assert "Line 1" in record.notes[0]


@pytest.mark.parametrize("content", ["", "- 1", "a: [", None])
def test_a_damaged_spec_is_a_fault(finished_run: RunPaths, content: str | None) -> None:
    finished_run.spec_yaml.unlink()
    if content is not None:
        finished_run.spec_yaml.write_text(content)
    with pytest.raises(RequestError, match=r"spec\.yaml"):
        RunRecord.load(finished_run)


def test_a_manifest_names_the_keys_that_are_wrong(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    write_atomic(path, '{"name": "x", "study_name": 3, "from_the_future": 1}')
    with pytest.raises(RequestError, match="see stage, study_name"):
        Manifest.load(path)


def test_a_manifest_keeps_keys_it_does_not_know(make_run: MakeRun) -> None:
    paths = make_run(from_the_future={"a": 1})
    manifest = Manifest.load(paths.manifest_json)
    manifest.claim(command=["run", "x"], earlier_wall_seconds=12.0)
    manifest.save(paths.manifest_json)
    again = Manifest.load(paths.manifest_json)
    assert again.model_extra == {"from_the_future": {"a": 1}}
    assert (again.process_is_alive(), again.wall_seconds, again.command) == (True, 12.0, ["run", "x"])


def test_list_runs_is_newest_first_and_survives_a_damaged_one(make_run: MakeRun) -> None:
    make_run("older", trials=0, state="finished", created_at="2025-01-01T00:00:00+00:00", best={"val_r2": 0.4})
    newer = make_run("newer", trials=0, state="failed", created_at="2025-02-01T00:00:00+00:00")
    make_run("cut", trials=0).manifest_json.write_text("{")
    runs = list_runs(newer.root)
    assert [(run.name, run.state) for run in runs] == [
        ("newer", "failed"),
        ("older", "finished"),
        ("cut", "unreadable"),
    ]
    assert runs[1].best_value == 0.4
    newest = newest_finished(newer.root, "cnn_stage1a")
    assert newest is not None and newest.name == "older"
    assert list_runs(newer.root / "absent") == []


def test_listing_runs_imports_neither_torch_nor_ray_nor_optuna(make_run: MakeRun) -> None:
    root = make_run(trials=0).root
    code = (
        "import sys; from pathlib import Path; from spectral_search.record.run_records import list_runs;"
        "assert len(list_runs(Path(sys.argv[1]))) == 1;"
        "import spectral_search.record.leaderboard, spectral_search.record.live_view;"
        "print([name for name in ('torch', 'ray', 'optuna', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_study_with_a_waiting_trial(make_run: MakeRun) -> None:
    paths = make_run()
    optuna.load_study(study_name="the-first-name", storage=paths.study_url).enqueue_trial({"fit.lr": 1e-3})
    record = RunRecord.load(paths)
    assert record.trials[5].state == "waiting"
    assert run_document(record)["trials"]["waiting"] == 1
