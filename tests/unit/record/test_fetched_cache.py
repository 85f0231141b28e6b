"""Objects of a real store in the cache: whole or not there, fetched once, noticed when they change, bounded."""

import os
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_search import environment
from small_store import SmallStore

from spectral_search.errors import RequestError
from spectral_search.record import fetched_cache
from spectral_search.record.fetched_cache import FetchedCache, StoredSet
from spectral_search.record.fetched_data import local_path, origin_of, told_path, told_text
from spectral_search.record.object_store import ObjectStore, StoredObject

_KEEPS = r"""
import os, signal, sys
from spectral_search.record import fetched_cache
from spectral_search.record.fetched_cache import FetchedCache, StoredSet
from spectral_search.record.fetched_data import local_path, origin_of, told_path, told_text
from spectral_search.record.object_store import ObjectStore
read, left = ObjectStore.read, int(sys.argv[2])
def counted(self, found, file, heard):
    global left
    left -= 1
    if left == 0:
        file.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.write(1, (found.name + "\n").encode())
    read(self, found, file, heard)
ObjectStore.read, fetched_cache._THREADS = counted, 1
FetchedCache.here().keep(StoredSet.at(sys.argv[1]), lambda done, total: None)
"""


def _unheard(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of small files."""
    for name in ("train/a.bin", "train/b.bin", "test/a.bin"):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode() * 1000)
    return tmp_path / "data"


@pytest.fixture
def url(data: Path, used_store: SmallStore, request: pytest.FixtureRequest) -> str:
    """The folder in a store, under a name of the test's own."""
    return used_store.put(data, f"fetched/{request.node.name}/spectra")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_set_is_fetched_once_and_is_as_it_was(url: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, told = StoredSet.at(url), list[tuple[int, int]]()
    kept = FetchedCache.here().keep(wanted, lambda done, total: told.append((done, total)))
    assert _files(kept.folder / url.removeprefix("s3://")) == _files(data)
    assert told[-1][0] == told[-1][1] > 0
    assert {one.mtime_ns for one in wanted.objects} == {
        path.stat().st_mtime_ns for path in kept.folder.rglob("*.bin")
    }, "records of a run know a file by its time, on whatever machine"
    monkeypatch.setattr(ObjectStore, "read", lambda *arguments: pytest.fail("what is there was fetched again"))
    again = FetchedCache.here().keep(StoredSet.at(url), _unheard)
    assert again.folder == kept.folder
    (entry,) = FetchedCache.here().entries()
    assert (entry.kind, entry.facts) == ("data", {"url": url, "objects": 3}) and entry.in_use
    assert not FetchedCache.here().clear(), "what is read is not removed"
    kept.release()
    again.release()
    assert FetchedCache.here().clear() and not FetchedCache.here().entries()


def test_a_changed_object_makes_another_set_of_what_did_not(
    url: str, data: Path, used_store: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = FetchedCache.here().keep(StoredSet.at(url), _unheard)
    (data / "train/a.bin").write_bytes(b"other")
    used_store.put(data / "train/a.bin", f"{url.removeprefix('s3://')}/train/a.bin")
    read, names = ObjectStore.read, list[str]()
    monkeypatch.setattr(
        ObjectStore, "read", lambda self, found, *rest: (names.append(found.name), read(self, found, *rest))[1]
    )
    after = FetchedCache.here().keep(StoredSet.at(url), _unheard)
    assert _files(after.folder / url.removeprefix("s3://")) == _files(data)
    assert [name.rpartition("/")[2] for name in names] == ["a.bin"] and after.folder != before.folder
    assert _files(before.folder)[f"{url.removeprefix('s3://')}/train/a.bin"] != b"other", "who reads it goes on"


def test_an_object_that_changes_while_it_is_read_is_refused(url: str) -> None:
    wanted = StoredSet.at(url)
    stale = StoredSet(url, tuple(StoredObject(one.name, one.nbytes, one.mtime_ns - 10**11) for one in wanted.objects))
    with pytest.raises(RequestError, match=r"s3://.*bin was written while it was read"):
        FetchedCache.here().keep(stale, _unheard)
    assert {entry.kind for entry in FetchedCache.here().entries()} == {"begun"}


def test_a_kill_in_the_middle_leaves_nothing_half_and_is_gone_on_with(url: str, data: Path) -> None:
    def keep(dies_at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _KEEPS, url, str(dies_at)],
            env=environment(), capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    folder = FetchedCache.here().folder
    first = keep(3)
    assert first.returncode == -9
    (begun,) = (path for path in folder.iterdir() if path.is_dir())
    whole = _files(data)
    assert begun.name.endswith(".part")
    found = {path: path.read_bytes() for path in begun.rglob("*.bin")}
    assert len(found) == 2 and all(content in whole.values() for content in found.values())
    second = keep(0)
    assert second.returncode == 0, second.stderr
    assert len(second.stdout.split()) == len(whole) - len(found), "what was there is not fetched again"
    (kept,) = (path for path in folder.iterdir() if path.is_dir())
    assert _files(kept / "data" / url.removeprefix("s3://")) == whole


def test_what_was_fetched_is_known_for_that_also_behind_a_link(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "large disk")
    monkeypatch.setenv("SPECTRAL_SEARCH_CACHE", str(tmp_path / "link"))
    file = local_path(url, "a test") / "train" / "a.bin"
    for path in (file, file.resolve()):
        origin = origin_of(path)
        assert origin is not None and told_path(path) == f"{url}/train/a.bin" and origin.here() == file
        assert told_text(f"{path}: the file is damaged.") == f"{url}/train/a.bin: the file is damaged."


def test_without_a_home_folder_it_is_said_where_fetched_data_could_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(name: str) -> Path:
        raise RuntimeError

    monkeypatch.delenv("SPECTRAL_SEARCH_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_path", no_home)
    with pytest.raises(
        RequestError, match=r"simulated or fetched could be kept: set HOME, .* or SPECTRAL_SEARCH_CACHE"
    ):
        FetchedCache.here()


def test_a_store_that_tells_no_times_is_fetched_from_once(
    url: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, names = ObjectStore.read, list[str]()

    def counted(self: ObjectStore, found: StoredObject, file: Path, heard: Callable[[int], None]) -> None:
        names.append(found.name)
        assert len(names) == len(set(names)), "it is fetched for ever"
        read(self, found, file, heard)

    monkeypatch.setattr(ObjectStore, "read", counted)
    found = StoredSet.at(url)
    timeless = StoredSet(url, tuple(replace(one, mtime_ns=0) for one in found.objects))
    kept = FetchedCache.here().keep(timeless, _unheard)
    assert _files(kept.folder / url.removeprefix("s3://")) == _files(data)


def test_a_file_system_without_exact_times_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read, names = ObjectStore.read, list[str]()

    def inexact(self: ObjectStore, found: StoredObject, file: Path, heard: Callable[[int], None]) -> None:
        names.append(found.name)
        assert len(names) == len(set(names)), "it is fetched for ever"
        read(self, found, file, heard)
        os.utime(file, ns=(0, found.mtime_ns // 3_600_000_000_000 * 3_600_000_000_000))

    monkeypatch.setattr(ObjectStore, "read", inexact)
    with pytest.raises(RequestError, match="keeps no exact times of files: set SPECTRAL_SEARCH_CACHE to a folder"):
        FetchedCache.here().keep(StoredSet.at(url), _unheard)


def test_of_several_processes_one_fetches(url: str, data: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _KEEPS, url, "0"], env=environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    told = [process.communicate(timeout=100)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(map(len, told)) == [0, 0, 3]


def test_the_folder_is_bounded(url: str, data: Path, used_store: SmallStore, tmp_path: Path) -> None:
    other = used_store.put(data, f"{url.removeprefix('s3://')}-other")
    one, two = StoredSet.at(url), StoredSet.at(other)
    cache = FetchedCache(tmp_path / "small", one.nbytes + two.nbytes // 2)
    cache.keep(one, _unheard).release()
    held = cache.keep(two, _unheard)
    assert [entry.facts["url"] for entry in cache.entries()] == [other]
    with pytest.raises(RequestError, match=r"fetched data may take 0 GB: set SPECTRAL_SEARCH_FETCHED_GB"):
        FetchedCache(tmp_path / "none", 0).keep(one, _unheard)
    cache.keep(one, _unheard)
    assert len(cache.entries()) == 2, "what is read stays, whatever the bound"
    held.release()


def test_a_disk_without_room_is_refused_before_the_fetch(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(fetched_cache.shutil, "disk_usage", lambda path: usage(10, 5, 5))
    monkeypatch.setattr(ObjectStore, "read", lambda *arguments: pytest.fail("it was begun"))
    with pytest.raises(RequestError, match=r"has 5 B free: free some space, or set SPECTRAL_SEARCH_CACHE"):
        FetchedCache.here().keep(StoredSet.at(url), _unheard)


def test_files_that_were_purged_are_fetched_again(url: str, data: Path) -> None:
    kept = FetchedCache.here().keep(StoredSet.at(url), _unheard)
    next(kept.folder.rglob("b.bin")).unlink()
    with pytest.raises(RequestError, match="were removed while processes use them"):
        FetchedCache.here().keep(StoredSet.at(url), _unheard)
    kept.release()
    again = FetchedCache.here().keep(StoredSet.at(url), _unheard)
    assert _files(again.folder / url.removeprefix("s3://")) == _files(data)


@pytest.mark.parametrize(
    ("changes", "place", "told"),
    [
        ({}, "no-such-bucket/data", "There is no bucket no-such-bucket"),
        ({}, "answers/nothing", "s3://answers/nothing holds no object"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "answers", r"does not let you in \(.*signature.*\): set AWS_ACCESS"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "answers", "does not let you in"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "answers",
            r"cannot be reached \(.*\): check the URL,",
        ),
    ],
)
def test_what_a_store_answers_is_told_in_a_sentence(
    changes: dict[str, str], place: str, told: str, data: Path, used_store: SmallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    used_store.put(data, "answers/data")
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=told) as raised:
        StoredSet.at(f"s3://{place}")
    assert len(raised.value.faults) == 1 and "\n" not in str(raised.value)
