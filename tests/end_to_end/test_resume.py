"""Resuming runs that were finished, interrupted, damaged, moved, held or out of disk; what lies in their folders."""

import fcntl
import io
import json
import os
import pickle
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import call
from processes import Running
from rich.console import Console
from small_search import REPOSITORY, cli, facts, make_data, make_spec

from spectral_search import service
from spectral_search.errors import RequestError, RunError
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord
from spectral_search.service import RunOptions, Shown
from spectral_search.train.trainer import Trainer

pytestmark = pytest.mark.slow

Copy = Callable[[str], RunPaths]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small search, once finished and once interrupted in its third trial."""
    folder = tmp_path_factory.mktemp("search")
    make_spec(folder, make_data(folder / "data"), search={"trials": 4})
    start(folder, "finished")
    with pytest.MonkeyPatch.context() as patch:
        sound = Trainer.run_epoch

        def run_epoch(self: Trainer, members: list[Any]) -> Any:
            if (members[0].number, members[0].epoch) == (2, 1):
                raise KeyboardInterrupt
            return sound(self, members)

        patch.setattr(Trainer, "run_epoch", run_epoch)
        with pytest.raises(KeyboardInterrupt):
            start(folder, "interrupted")
    return folder


def start(folder: Path, name: str) -> None:
    options, shown = RunOptions(name=name, results=str(folder / "results"), executor="inline"), quiet()
    service.run(service.plan(str(folder / "small.yaml"), options, shown, dry_run=False), name, options, shown)


def quiet() -> Shown:
    return Shown(Console(file=io.StringIO()))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Copy:
    """Copy one of the two runs into a results folder of the test's own, which also moves it."""

    def copied(name: str) -> RunPaths:
        shutil.copytree(folder / "results" / name, tmp_path / name)
        return RunPaths(tmp_path, name)

    return copied


def resume(paths: RunPaths) -> RunRecord:
    return service.resume(paths.name, RunOptions(results=str(paths.root), executor="inline"), quiet())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run but the lock, which is empty."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Any]:
    return facts(RunPaths(folder / "results", "finished"))


def test_finished_run_is_returned_as_it_is(copy: Copy) -> None:
    paths = copy("finished")
    before = contents(paths.folder)
    assert resume(paths).state == "finished"
    assert contents(paths.folder) == before


def test_moved_run_goes_on_to_the_same_end(copy: Copy, whole: dict[str, Any]) -> None:
    paths = copy("interrupted")
    assert RunRecord.load(paths).state == "interrupted"
    assert resume(paths).state == "finished"
    assert facts(paths) == whole


def test_no_second_process_may_hold_a_run(copy: Copy) -> None:
    paths = copy("interrupted")
    before = contents(paths.folder)
    script = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True)"
    )
    arguments = [sys.executable, "-c", f"{script}; time.sleep(600)", str(paths.lock)]
    holder = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    with pytest.raises(RequestError, match="Another process works on run interrupted"):
        resume(paths)
    assert contents(paths.folder) == before
    holder.kill()
    holder.wait()
    assert resume(paths).state == "finished"  # the system let go of the lock with its holder


def test_lock_is_not_handed_down_to_processes_that_a_search_starts(tmp_path: Path) -> None:
    from spectral_search.run.run_lock import hold

    paths = RunPaths(tmp_path, "run").create()
    with hold(paths):
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
    with open(paths.lock) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child.kill()
    child.wait()


def test_changed_spec_is_refused(copy: Copy) -> None:
    paths = copy("interrupted")
    paths.spec_yaml.write_text(paths.spec_yaml.read_text().replace("trials: 4", "trials: 5"))
    before = contents(paths.folder)
    with pytest.raises(RequestError, match=r"spec\.yaml was edited"):
        resume(paths)
    assert contents(paths.folder) == before


def test_changed_data_is_refused(copy: Copy, tmp_path: Path, folder: Path) -> None:
    paths = copy("interrupted")
    other = tmp_path / "other"
    other.mkdir()
    from spectral_search.tasks.spectra.simulator.simulate import simulate

    simulate(other / "data", train=160, val=64, test=32, pixels=64, dtype="float32", seed=7)
    options = RunOptions(results=str(paths.root), executor="inline", data_root=(str(other / "data"),))
    with pytest.raises(RequestError, match="changed since run interrupted began"):
        service.resume(paths.name, options, quiet())
    assert RunRecord.load(paths).state == "interrupted"


def test_truncated_progress_file_costs_nothing(copy: Copy, whole: dict[str, Any]) -> None:
    paths = copy("interrupted")
    file = paths.trial(2).progress_jsonl
    file.write_bytes(file.read_bytes()[:-20])
    resume(paths)
    found = facts(paths)
    assert [trial["state"] for trial in found["trials"]] == [trial["state"] for trial in whole["trials"]]
    assert (found["best"], found["retest"], found["test"]) == (whole["best"], whole["retest"], whole["test"])


def test_half_written_transaction_is_rolled_back(copy: Copy, whole: dict[str, Any]) -> None:
    """A process that dies in a transaction that has spilt into the file leaves a journal beside it."""
    paths = copy("interrupted")
    before = [trial.state for trial in RunRecord.load(paths).trials]
    script = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('pragma cache_size=1'); db.execute('pragma cache_spill=1'); db.execute('begin immediate')\n"
        "db.execute('update trials set state = \"FAIL\"')\n"
        "db.execute('create table junk (x)')\n"
        "db.executemany('insert into junk values (?)', [(os.urandom(4000),) for _ in range(100)])\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(paths.study_db)], check=False)
    assert paths.study_db.with_name("study.db-journal").exists()
    assert [trial.state for trial in RunRecord.load(paths).trials] == before
    resume(paths)
    assert facts(paths) == whole


@pytest.mark.parametrize(
    ("file", "sentence"),
    [("study.db", "study"), ("manifest.json", "manifest"), ("spec.yaml", "spec"), ("split.npz", "split")],
)
def test_damaged_record_ends_in_a_sentence(copy: Copy, file: str, sentence: str) -> None:
    paths = copy("interrupted")
    path = paths.folder / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(RequestError, match=sentence):
        resume(paths)


class Evil:
    """A pickle that leaves a mark where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_pickles_in_a_run_are_never_loaded(copy: Copy, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = pickle.dumps(Evil(mark))
    victims = ["split.npz", "preprocessing.safetensors", "study.db", "spec.yaml", "manifest.json"]
    victims += ["trials/0002/checkpoint/last.safetensors", "trials/0002/checkpoint/best.safetensors"]
    victims += ["trials/0002/progress.jsonl", "trials/0002/params.yaml"]
    for number, victim in enumerate(victims):
        paths = copy("interrupted")
        (paths.folder / victim).write_bytes(evil)
        try:
            resume(paths)
        except (RequestError, RunError):
            assert number < 5, victim  # a trial's files are made anew, the run's own are refused
        assert not mark.exists(), victim
        shutil.rmtree(paths.folder)


def test_no_module_can_load_a_pickle() -> None:
    modules = r"^\s*(import|from) (pickle|_pickle|cloudpickle|dill|joblib|marshal|shelve)\b"
    forbidden = re.compile(
        modules + r"|torch\.load\(|allow_pickle=True|read_pickle|yaml\.(unsafe_|full_)?load\(", re.MULTILINE
    )
    files = list((REPOSITORY / "spectral_search").rglob("*.py"))
    assert len(files) > 50
    assert [path for path in files if forbidden.search(path.read_text())] == []


def test_stopped_and_complete_trials_keep_two_files_at_most(copy: Copy) -> None:
    for trial in RunRecord.load(paths := copy("finished")).trials:
        kept = sorted(path.name for path in paths.trial(trial.number).checkpoint_dir.iterdir())
        expected = ["best.safetensors", "last.safetensors"] if trial.state == "complete" else ["best.safetensors"]
        assert kept == expected


def test_leftovers_of_a_killed_writer_are_removed(copy: Copy) -> None:
    paths = copy("interrupted")
    leftovers = [
        paths.folder / ".manifest.json.0badcafe.tmp",
        paths.trial(2).checkpoint_dir / ".last.safetensors.1.tmp",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    resume(paths)
    assert not any(path.exists() for path in leftovers)


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@host/db", "mysql://me@host/db?password=hunter2"])
def test_password_in_plain_text_is_refused_and_not_echoed(folder: Path, tmp_path: Path, url: str) -> None:
    set_url = ["--set", f"search.storage={url}"]
    ended = call("run", folder / "small.yaml", "--results", "results", *set_url, folder=tmp_path).require(2)
    assert "put it into the environment" in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
    assert not any(tmp_path.iterdir())


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Limit the size of files that this process may write, which a full disk or quota does too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 2_000, 20_000, 60_000])
def test_full_disk_ends_in_a_sentence_and_damages_nothing(
    copy: Copy, whole: dict[str, Any], limited: Callable[[int], None], size: int
) -> None:
    paths = copy("interrupted")
    trials = [(trial.state, trial.epochs) for trial in RunRecord.load(paths).trials[:2]]
    limited(size)
    with pytest.raises((RunError, RequestError)) as raised:
        resume(paths)
    limited(resource.RLIM_INFINITY)
    assert "disk" in str(raised.value)
    record = RunRecord.load(paths)
    assert [(trial.state, trial.epochs) for trial in record.trials[:2]] == trials
    assert "failed" not in [trial.state for trial in record.trials]
    resume(paths)
    assert facts(paths) == whole


SMALL = {"before it begins": 0.5, "while it runs": 1.3}
"""Sizes of a file system, in units of what the whole run takes; files take whole pages of it."""


@pytest.mark.parametrize("when", SMALL)
@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_full_file_system_on_ray_ends_in_a_sentence(
    folder: Path, tmp_path: Path, whole: dict[str, Any], when: str
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    size = RunPaths(folder / "results", "finished").bytes_on_disk() * SMALL[when]
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size:.0f}", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this system lets nobody mount a tmpfs")
    try:
        ended = cli("run", folder / "small.yaml", "--name", "finished", "--results", small, "--no-dashboard")
        assert ended.returncode == 1, ended.stderr
        assert "disk" in ended.stderr
        assert "full" in ended.stderr
        assert "Traceback" not in ended.stderr
        if when == "before it begins":
            assert "No run was begun" in ended.stderr
            assert not any(small.iterdir())
            return
        paths = RunPaths(small, "finished")
        assert RunRecord.load(paths).state == "interrupted"
        subprocess.run(["mount", "-o", "remount,size=50m", str(small)], check=True)
        call("resume", "finished", "--results", small, "--executor", "inline", folder=tmp_path).require()
        assert facts(paths) == whole
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_status_tells_of_a_process_that_is_gone(copy: Copy) -> None:
    paths = copy("interrupted")
    manifest = json.loads(paths.manifest_json.read_text())
    gone = subprocess.Popen(["true"])
    gone.wait()
    paths.manifest_json.write_text(json.dumps({**manifest, "state": "running", "pid": gone.pid}))
    (listed,) = call("status", "--results", ".", "--json", folder=paths.root).require().json()
    assert (listed["name"], listed["state"]) == ("interrupted", "interrupted")
    shown = call("status", "interrupted", "--results", ".", folder=paths.root).require()
    assert "interrupted" in shown.stdout
    assert "on disk:" in shown.stdout


def test_watch_follows_a_run_to_its_end(copy: Copy) -> None:
    paths = copy("interrupted")
    running = Running("resume", paths.name, "--results", paths.root, "--executor", "inline")
    assert running.wait_for(lambda: RunRecord.load(paths).state == "running"), running.end()[1]
    watched = call("status", paths.name, "--watch", "--results", ".", "--json", folder=paths.root).require()
    assert running.end()[0] == 0
    document = watched.json()
    assert (document["state"], document["trials"]["complete"] + document["trials"]["stopped"]) == ("finished", 4)
    assert "interrupted: running" in watched.stderr


def test_study_is_a_plain_database_that_other_tools_open(copy: Copy) -> None:
    with sqlite3.connect(copy("finished").study_db) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from trials").fetchone() == (4,)
