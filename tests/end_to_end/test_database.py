"""The study in a PostgreSQL server: killed, shared by processes, out of reach; a password that is nowhere on disk."""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call
from processes import Running, recorded_epochs
from small_search import differences, facts, make_data, make_spec

from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.record.stored_trials import read_study
from spectral_search.run.study_storage import open_storage
from spectral_search.spec.load import expand

PASSWORD = "correct-horse-battery"
VARIABLE = "SPECTRAL_SEARCH_TEST_PASSWORD"
SERVER_SECONDS = 120


def missing() -> str | None:
    """What keeps this machine from starting a server, if anything does."""
    if program("initdb") is None or program("postgres") is None:
        return "there is no PostgreSQL server on this machine (initdb, postgres)"
    if importlib.util.find_spec("psycopg") is None:
        return "the driver is not installed (pip install 'psycopg[binary]')"
    return None


def program(name: str) -> str | None:
    """One of the server's programs; Debian keeps them off the path, a folder for each version."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or next(filter(None, (shutil.which(name, path=str(folder)) for folder in folders)), None)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database, its password as a variable; the server ends with the tests."""
    if reason := missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("server")
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    if user is not None:
        owner = pwd.getpwnam(user)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent.name.startswith(("pytest", "popen")):
                parent.chmod(0o755)
    secret = folder / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    arguments = ["--username", "searcher", "--auth", "scram-sha-256", "--pwfile", str(secret), "--no-sync"]
    subprocess.run(
        [str(program("initdb")), "-D", folder / "data", *arguments], user=user, check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
    server = subprocess.Popen(
        [str(program("postgres")), "-D", folder / "data", *options], user=user, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(VARIABLE, PASSWORD)
            yield f"postgresql+psycopg://searcher:${{{VARIABLE}}}@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # SIGTERM would wait for every client to leave
        server.wait(SERVER_SECONDS)


def wait_for(port: int) -> None:
    end = time.monotonic() + SERVER_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.mark.slow
def test_killed_search_goes_on_from_a_server(url: str, tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"), search={"trials": 5})
    where = ["--results", tmp_path / "results", "--executor", "inline"]
    call("run", "small.yaml", "--name", "whole", *where, folder=tmp_path).require()
    paths = RunPaths(tmp_path / "results", "served")
    stored = ["--set", f"search.storage={url}"]
    running = Running("run", tmp_path / "small.yaml", "--name", "served", *stored, *where)
    assert running.wait_for(lambda: recorded_epochs(paths.folder) >= 5), running.end()[1]
    running.kill()
    assert not paths.study_db.exists()
    shown = call("status", "served", "--results", "results", folder=tmp_path).require()
    ended = call("resume", "served", *where, folder=tmp_path).require()
    assert differences(facts(paths), facts(RunPaths(tmp_path / "results", "whole"))) == []
    told = shown.stdout + shown.stderr + ended.stdout + ended.stderr
    files = [path.read_bytes() for path in paths.folder.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in [told.encode(), *files])


@pytest.mark.slow
def test_reading_makes_no_tables(url: str) -> None:
    import psycopg

    known = expand(url)
    with psycopg.connect(known.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE DATABASE empty")
    empty = f"{known.rpartition('/')[0]}/empty"
    assert read_study(empty, "any") is None
    with psycopg.connect(empty.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
    with open_storage(empty):
        assert read_study(empty, "any") is None


@pytest.mark.slow
def test_processes_share_a_search_on_a_server_and_the_trial_of_a_killed_one_is_taken_up(
    url: str, tmp_path: Path
) -> None:
    # No decision depends on who was faster, so that the end is that of one process alone.
    fixed = {"search": {"trials": 4, "sampler": "random", "pruner": "none"}, "fit": {"epochs": 60, "patience": None}}
    make_spec(tmp_path, make_data(tmp_path / "data"), **fixed)
    results, spec = tmp_path / "results", tmp_path / "small.yaml"
    call("run", spec, "--name", "whole", "--results", results, "--executor", "inline", folder=tmp_path).require()
    paths, stored = RunPaths(results, "shared"), ["--set", f"search.storage={url}"]
    one, other = (Running("run", spec, "--join", "shared", "--results", results, *stored) for _ in range(2))
    both = [paths.trial(number).progress_jsonl for number in (0, 1)]
    assert one.wait_for(lambda: all(path.exists() for path in both)), one.end()[1]
    one.kill()
    assert recorded_epochs(paths.folder) < 240 and not paths.study_db.exists()
    code, said = other.end()
    assert code == 0 and "shared: finished" in said, said
    assert differences(facts(paths), facts(RunPaths(results, "whole"))) == []
    notes = [note for trial in RunRecord.load(paths).trials for note in trial.notes]
    assert len(notes) == 1 and "together with others" in notes[0]


@pytest.mark.slow
def test_server_out_of_reach_ends_in_a_sentence(url: str, tmp_path: Path) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"))
    gone = url.rpartition(":")[0] + ":1/postgres"
    arguments = ["--results", tmp_path / "results", "--executor", "inline", "--set", f"search.storage={gone}"]
    ended = call("run", "small.yaml", *arguments, folder=tmp_path).require(2)
    assert "database cannot be opened" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert PASSWORD not in ended.stderr
