"""Copies of a run's files in a real store: a moment of them, only what changed, and never what stops a search."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest
from small_store import SmallStore

from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line, write_atomic
from spectral_search.record.manifest import Manifest
from spectral_search.record.object_store import ObjectStore
from spectral_search.record.paths import RunPaths
from spectral_search.record.stored_run import RunIndex, StoredRun
from spectral_search.run.run_copier import RunCopier, _TakenOverError

_KEPT = "what was copied before can be resumed, and the run's folder holds all of it; `resume one` copies it again"


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    """A run with a database and a trial."""
    paths = RunPaths(tmp_path / "runs", "one").create()
    manifest = Manifest(name="one", stage="small", study_name="one")
    manifest.claim()
    manifest.save(paths.manifest_json)
    with closing(sqlite3.connect(paths.study_db)) as database, database:
        database.execute("CREATE TABLE numbers (number)")
    append_line(paths.trial(0).create().progress_jsonl, {"epoch": 1})
    write_atomic(paths.trial(0).last_safetensors, b"last")
    write_atomic(paths.trial(0).best_safetensors, b"best")
    for own in (paths.lock, paths.trial(0).owner, paths.folder / ".spec.yaml.1234.tmp"):
        own.write_text("of this machine")
    return paths


@pytest.fixture
def place(used_store: SmallStore, request: pytest.FixtureRequest) -> StoredRun:
    """Where it is copied to."""
    used_store.make_bucket("copies")
    return StoredRun(f"s3://copies/{request.node.name.partition('[')[0]}/one", "a test")


def _copier(place: StoredRun, paths: RunPaths, said: list[str] | None = None) -> RunCopier:
    return RunCopier(place, paths, ([] if said is None else said).append, 0.05)


def _index(place: StoredRun) -> RunIndex:
    found = place.index()
    assert found is not None
    return found


def _fetched(place: StoredRun, folder: Path) -> RunPaths:
    paths = RunPaths(folder, "one")
    place.fetch(paths, lambda done, total: None)
    return paths


def test_a_copy_is_the_run_without_what_is_this_machines(paths: RunPaths, place: StoredRun, tmp_path: Path) -> None:
    copier = _copier(place, paths)
    copier.round()
    found = _fetched(place, tmp_path / "other")
    names = {path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*") if path.is_file()}
    trial = {f"trials/0000/{name}" for name in ("progress.jsonl", "checkpoint/last.safetensors")}
    assert names == {"copied.json", "manifest.json", "study.db", "trials/0000/checkpoint/best.safetensors", *trial}
    with closing(sqlite3.connect(found.study_db)) as database:
        assert database.execute("SELECT count(*) FROM numbers").fetchone() == (0,)
    # Nobody works on what was fetched, whoever works on what it was copied from.
    assert Manifest.load(paths.manifest_json).state == "running"
    assert Manifest.load(found.manifest_json).state == "interrupted"
    with pytest.raises(RequestError, match="A run named 'one' is already in .*resume one"):
        place.fetch(found, lambda done, total: None)
    assert not list(paths.folder.glob("copying")) and not list((tmp_path / "other").glob(".*"))


def test_only_what_changed_is_written(
    paths: RunPaths, place: StoredRun, used_store: SmallStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = ObjectStore.write, list[str]()
    monkeypatch.setattr(
        ObjectStore, "write", lambda self, name, *rest: (written.append(name), write(self, name, *rest))[1]
    )
    copier = _copier(place, paths)
    copier.round()
    written.clear()
    copier.round()
    assert written == [], "nothing changed"
    for epoch in range(2, 8):
        append_line(paths.trial(0).progress_jsonl, {"epoch": epoch})
        if epoch == 4:
            paths.trial(0).last_safetensors.unlink()
        before = _index(place)
        written.clear()
        copier.round()
        names = {one.name for one in before.files.values()}
        assert not names & set(written), "what the index names while it is read is written to"
        assert "trials/0000/progress.jsonl" in _index(place).files
        assert len([name for name in written if "progress" in name]) == 1
        assert not any("manifest" in name or "best" in name for name in written)
    folder = used_store.folder / place.store.place / "files"
    assert len(list(folder.glob("*progress*"))) == 3
    assert [path.stat().st_size for path in folder.glob("*last*")] == [0], "what is no more takes no room"
    # Another session goes on with it, and writes what changed meanwhile alone.
    append_line(paths.trial(0).progress_jsonl, {"epoch": 8})
    written.clear()
    _copier(place, paths).round()
    assert len(written) == 2 and "progress" in written[0] and written[1] == "index.json"
    assert _fetched(place, tmp_path / "other").trial(0).progress_jsonl.read_text().count("\n") == 8


def test_a_moment_is_taken_while_nothing_is_written(paths: RunPaths, place: StoredRun, tmp_path: Path) -> None:
    """Of a line and a row that are written together a copy has both or none."""
    guard, ends = threading.RLock(), threading.Event()

    @contextmanager
    def still() -> Iterator[None]:
        with guard:
            yield

    def write() -> None:
        for number in range(1, 10_000):
            with guard, closing(sqlite3.connect(paths.study_db)) as database, database:
                database.execute("INSERT INTO numbers VALUES (?)", (number,))
                append_line(paths.trial(0).progress_jsonl, {"epoch": number + 1})
            if ends.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copier = _copier(place, paths)
        copier.still = still
        for turn in range(5):
            copier.round()
            found = _fetched(place, tmp_path / str(turn))
            with closing(sqlite3.connect(found.study_db)) as database:
                (rows,) = database.execute("SELECT count(*) FROM numbers").fetchone()
            assert found.trial(0).progress_jsonl.read_text().count("\n") == rows + 1
    finally:
        ends.set()
        writer.join()


def test_a_store_that_does_not_answer_is_told_of_once(
    paths: RunPaths, place: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, tried, answers = list[str](), list[int](), threading.Event()
    index = StoredRun.index

    def answered(self: StoredRun) -> RunIndex | None:
        tried.append(1)
        if not answers.is_set():
            raise RequestError("s3://copies cannot be reached.")
        return index(self)

    monkeypatch.setattr(StoredRun, "index", answered)
    copier = _copier(place, paths, said)
    copier.begin()
    while len(tried) < 3:
        time.sleep(0.01)
    answers.set()
    copier.end(60.0)
    assert said == ["Run one was not copied (s3://copies cannot be reached.). It goes on, and that is tried again."]
    assert "trials/0000/progress.jsonl" in _index(place).files


def test_the_end_of_a_run_does_not_wait_for_a_store_for_ever(
    paths: RunPaths, place: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, said = threading.Event(), list[str]()
    monkeypatch.setattr(StoredRun, "index", lambda self: hangs.wait(30.0))
    copier = _copier(place, paths, said)
    copier.begin()
    begun = time.monotonic()
    copier.end(0.2)
    assert time.monotonic() - begun < 5.0
    assert said == [f"The last copy to {place.url} was not waited for: {_KEPT}."]
    hangs.set()


def test_who_does_not_wait_for_the_last_copy_is_not_held_up(
    paths: RunPaths, place: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of a pool end with the process, and not before they have written all that is left."""

    def write(self: ObjectStore, name: str, source: IO[bytes], nbytes: int, heard: Callable[[int], None]) -> str:
        for _ in range(1000):
            heard(0)
            time.sleep(0.01)
        return ""

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt  # and no signal, which a process in the background may not hear

    monkeypatch.setattr(ObjectStore, "write", write)
    said, copier = list[str](), _copier(place, paths)
    copier._say = said.append
    copier.begin()
    with monkeypatch.context() as interrupted, pytest.raises(KeyboardInterrupt):
        interrupted.setattr(copier._thread, "join", interrupt)
        copier.end(60.0)
    copier._thread.join(5.0)
    assert not copier._thread.is_alive()
    assert said == [f"The last copy to {place.url} was not waited for: {_KEPT}."]


def test_a_last_copy_that_was_not_made_is_told_of_whatever_was_told_before(
    paths: RunPaths, place: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[str]()

    def unreachable(self: StoredRun) -> None:
        raise RequestError("it cannot be reached.")

    monkeypatch.setattr(StoredRun, "index", unreachable)
    copier = _copier(place, paths, said)
    copier.begin()
    while not said:
        time.sleep(0.01)
    copier.end(60.0)
    assert len(said) == 2 and said[1] == f"The last copy to {place.url} was not made (it cannot be reached.): {_KEPT}."


def test_of_two_sessions_the_older_one_stops(paths: RunPaths, place: StoredRun, tmp_path: Path) -> None:
    said = list[str]()
    older = _copier(place, paths, said)
    older.begin()
    while place.index() is None:
        time.sleep(0.02)
    # Of a folder of its own: of one run only one process at a time goes on in a folder.
    shutil.copytree(paths.folder, tmp_path / "elsewhere" / "one", ignore=shutil.ignore_patterns(paths.copying_dir.name))
    newer = _copier(place, RunPaths(tmp_path / "elsewhere", "one"))
    newer.round()
    older.end(60.0)
    assert said == [f"Another session goes on with run one and copies it to {place.url}."]
    assert _index(place).writer == newer._writer


def test_what_an_older_session_had_on_its_way_does_not_stop_the_newer_one(paths: RunPaths, place: StoredRun) -> None:
    """As where a machine makes its last copy while another one goes on with the run already."""
    older, newer = _copier(place, paths), _copier(place, paths)
    older.round()
    before = _index(place)
    newer.round()
    place.write_index(replace(before, at_unix_seconds=before.at_unix_seconds + 1.0))
    newer.round()
    assert _index(place).writer == newer._writer
    with pytest.raises(_TakenOverError):
        older.round()


def test_another_run_of_the_name_is_not_replaced(paths: RunPaths, place: StoredRun) -> None:
    place.require_of(None)
    _copier(place, paths).round()
    place.require_of(paths)
    with pytest.raises(RequestError, match=r"holds another run of that name: `spectral-search resume s3://"):
        place.require_of(None)


def test_an_older_disk_does_not_replace_what_was_trained_elsewhere(
    paths: RunPaths, place: StoredRun, tmp_path: Path
) -> None:
    _copier(place, paths).round()
    elsewhere = _fetched(place, tmp_path / "other")
    place.require_of(paths)
    place.require_of(elsewhere)
    _copier(place, elsewhere).round()
    place.require_of(elsewhere)
    with pytest.raises(RequestError, match=r"was gone on with elsewhere, .*`spectral-search resume s3://.*/one` with"):
        place.require_of(paths)


@pytest.mark.parametrize("path", ["../other", "/etc/passwd", "trials/../../x", ""])
def test_an_index_that_names_what_is_no_file_of_a_run_is_refused(path: str) -> None:
    document = (
        RunIndex("now", 1, "me", 0.0)
        .to_bytes()
        .replace(
            b'"files": {}',
            f'"files": {{"{path}": {{"name": "files/x", "nbytes": 1, "sha256": "{"0" * 64}"}}}}'.encode(),
        )
    )
    with pytest.raises(RequestError, match="which is no file of a run"):
        RunIndex.of(document, "s3://copies/one")


def test_an_index_of_another_version_is_not_read() -> None:
    content = RunIndex("now", 1, "me", 0.0).to_bytes().replace(b'"version": 1', b'"version": 2')
    with pytest.raises(RequestError, match="has version 2, and this package reads 1: resume it with the one"):
        RunIndex.of(content, "s3://copies/one")
