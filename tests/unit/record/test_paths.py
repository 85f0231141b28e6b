"""Paths, names, and writes that survive a cut."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from full_disks import NO_TEXT

from spectral_search.errors import RequestError
from spectral_search.record.database import sqlite_file
from spectral_search.record.durable import append_line, read_json, read_lines, replacing, write_atomic, write_json
from spectral_search.record.paths import NameTakenError, RunPaths, next_free_name, results_root, run_names


def test_results_root_prefers_option_then_environment() -> None:
    environ = {"SPECTRAL_SEARCH_RESULTS": "/from/environment"}
    assert results_root("mine", environ) == Path("mine")
    assert results_root(None, environ) == Path("/from/environment")
    assert results_root(None, {}) == Path("ray_results")
    assert results_root(None, {"SPECTRAL_SEARCH_RESULTS": ""}) == Path("ray_results")


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-option", "a/b", "../out", "a b", "a\n", "ü", "x" * 121])
def test_names_that_cannot_name_a_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(RequestError):
        RunPaths(tmp_path, name)


def test_every_path_lies_in_the_run_folder(tmp_path: Path) -> None:
    run = RunPaths(tmp_path, "cnn_stage1a-2")
    trial = run.trial(7)
    assert trial.folder == tmp_path / "cnn_stage1a-2" / "trials" / "0007"
    properties = [name for name, value in vars(RunPaths).items() if isinstance(value, property) and name != "study_url"]
    assert all(getattr(run, name).is_relative_to(run.folder) for name in properties)
    assert sqlite_file(run.study_url) == run.study_db


def test_a_taken_name_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    run = RunPaths(tmp_path / "new" / "root", "step1").create()
    with pytest.raises(RequestError, match="holds no run.*--name"):
        run.create()
    write_json(run.manifest_json, {})
    with pytest.raises(RequestError, match="resume step1.*--name"):
        run.create()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(RequestError, match="cannot be written.*--results"):
        RunPaths(tmp_path / "file", "step1").create()
    with pytest.raises(RequestError, match="cannot be written"):
        RunPaths(tmp_path / "file" / "below", "step1").create()


def test_next_free_name_counts_on(tmp_path: Path) -> None:
    assert next_free_name(tmp_path / "absent", "step1") == "step1"
    RunPaths(tmp_path, "step1").create()
    assert next_free_name(tmp_path, "step1") == "step1-2"
    (tmp_path / "step1-2").symlink_to(tmp_path / "nowhere")
    assert next_free_name(tmp_path, "step1") == "step1-3"


def test_of_runs_that_begin_at_one_moment_each_appears_once(tmp_path: Path) -> None:
    """All have seen the name free before any of them is there."""
    together = Barrier(4)

    def begin(number: int) -> str:
        try:
            with RunPaths(tmp_path, "step1").appearing() as hidden:
                write_json(hidden.manifest_json, {"number": number})
                together.wait()
        except NameTakenError as error:
            return str(error)
        return f"begun {number}"

    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(begin, range(4)))
    (won,) = [text for text in told if text.startswith("begun")]
    assert read_json(RunPaths(tmp_path, "step1").manifest_json) == {"number": int(won.split()[1])}
    assert sum("already" in text for text in told) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["step1"]


def test_a_run_in_a_folder_that_takes_no_files_cannot_go_on(tmp_path: Path) -> None:
    run = RunPaths(tmp_path, "step1").create()
    run.require_writable()
    assert [path.name for path in run.folder.iterdir()] == ["trials"]
    run.trials_dir.rmdir()
    run.trials_dir.write_text("")
    with pytest.raises(RequestError, match="step1 cannot go on.*status step1"):
        run.require_writable()


def test_a_name_is_checked_without_writing(tmp_path: Path) -> None:
    run = RunPaths(tmp_path, "step1")
    before = tmp_path.stat().st_mtime_ns
    run.require_unused()
    assert tmp_path.stat().st_mtime_ns == before
    run.create()
    with pytest.raises(NameTakenError, match="--name"):
        run.require_unused()


@pytest.mark.parametrize("name", ["", NO_TEXT])
def test_a_results_root_has_a_name_in_text(name: str) -> None:
    with pytest.raises(RequestError):
        results_root(name)


def test_require_names_the_runs_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="absent, which holds none: give --results"):
        RunPaths(tmp_path / "absent", "step1").require()
    write_json(RunPaths(tmp_path, "step2").create().manifest_json, {})
    RunPaths(tmp_path, "begun").create()
    with pytest.raises(RequestError, match="it holds step2"):
        RunPaths(tmp_path, "step1").require()
    assert run_names(tmp_path) == ["step2"]


def test_write_atomic_keeps_the_old_file_when_the_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    write_atomic(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["spec.yaml"]
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"


def test_lines_survive_a_writer_that_died_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    assert read_lines(path)[:2] == ([], False)
    append_line(path, {"epoch": 1, "train_loss": float("nan")})
    append_line(path, {"epoch": 2})
    whole = path.read_bytes()
    for cut in range(len(whole.splitlines(keepends=True)[0]) + 1, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_lines(path)[:2] == ([{"epoch": 1, "train_loss": None}], True)
    append_line(path, {"epoch": 2})
    assert path.read_bytes() == whole
    assert read_lines(path).cut is False


def test_a_first_line_cut_leaves_an_empty_file_to_go_on_from(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_bytes(b'{"epo')
    assert read_lines(path)[:2] == ([], True)
    append_line(path, {"epoch": 1})
    assert read_lines(path)[:2] == ([{"epoch": 1}], False)


@pytest.mark.parametrize("damaged", [b"\0\0\0\n", b'{"epo\n', b"[2]\n", b"\n", b'{"epoch": 2}', b"\xff"])
@pytest.mark.parametrize("before", [1, 5000])
def test_a_last_line_that_was_never_durable_is_cut_off(tmp_path: Path, damaged: bytes, before: int) -> None:
    path, first = tmp_path / "progress.jsonl", {"epoch": 1, "note": "x" * before}
    append_line(path, first)
    whole = path.read_bytes()
    with open(path, "ab") as file:
        file.write(damaged)
    assert read_lines(path) == ([first], True, len(whole))
    append_line(path, {"epoch": 2})
    assert path.read_bytes() == whole + b'{"epoch": 2}\n'


def test_lines_of_text_need_no_more_than_their_newline(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for line in ("Error", "", "again"):
        append_line(path, line)
    assert path.read_text() == "Error\n\nagain\n"


def test_a_broken_line_in_the_middle_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"epoch": 1}\n{"epo\n{"epoch": 3}\n')
    with pytest.raises(RequestError, match="Line 2"):
        read_lines(path)


def test_a_line_holds_no_newline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="newline"):
        append_line(tmp_path / "x", "a\nb")


@pytest.mark.parametrize("content", ["", '{"a": ', "[1]", "\x00\x00"])
def test_read_json_refuses_a_cut_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    with pytest.raises(RequestError, match=r"manifest\.json"):
        read_json(path)


def test_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"r2": float("nan"), "rows": (1, float("inf"))})

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(path.read_text(), parse_constant=refuse) == {"r2": None, "rows": [1, None]}
