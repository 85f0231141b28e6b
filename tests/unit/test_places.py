"""Paths as people give them, and places that are refused before the work."""

import errno
import grp
import os
import pwd
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from full_disks import NO_TEXT, ODD_NAMES, mounted, read_only

from spectral_search.errors import RequestError, RunError
from spectral_search.places import (
    FULL,
    given_path,
    given_root,
    owner_writes,
    require_folder,
    require_output,
    require_own,
    require_text,
    store_place,
    writing,
)


def test_a_path_is_taken_as_it_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert given_path("~/x", "--results") == Path("/somewhere/x")
    Path(tmp_path / "~nobody-of-this-name").mkdir()
    monkeypatch.chdir(tmp_path)
    assert given_path("~nobody-of-this-name", "--results") == Path("~nobody-of-this-name")
    with pytest.raises(RequestError, match="no home folder ~nobody-of-this-name: write the path in full"):
        given_path("~nobody-of-this-name/x", "--results")
    for name in ODD_NAMES:
        Path(name).mkdir()  # one of them begins with ~, and is no home folder because it is there
        assert str(given_path(name, "--results")) == name
    with pytest.raises(RequestError, match="--results is empty"):
        given_path("", "--results")
    with pytest.raises(RequestError, match=r"--results is a URL \(s3://...\), and only data are read from one"):
        given_path("s3://bucket/data", "--results")


def test_the_root_of_data_may_be_a_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert given_root("data", "--data-root") == str(tmp_path / "data")
    url = "s3://bucket/a/b?endpoint_override=127.0.0.1:9000&scheme=http"
    assert given_root(url, "--data-root") == url and store_place(url, "--data-root").as_posix() == "bucket/a/b"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://AKIA:secret@bucket/data", "--data-root is a URL with keys in it"),
        ("s3://AKIA:a/secret@bucket/data", "--data-root is a URL with keys in it"),
        ("s3://bucket/data?endpoint_override=me:secret@host", "--data-root is a URL with keys in it"),
        ("s3://bucket/data?secret_key=secret", "--data-root is a URL with keys in it"),
        ("s3://bucket/data?session_token=secret", "--data-root is a URL with keys in it"),
        ("s3://bucket/data?color=red", "take endpoint_override, region, scheme after the [?], and no color"),
        ("s3://AKIA:secret/data", "--data-root names no bucket after s3://"),
        ("s3://10.0.0.5:9000/bucket/data", r"s3://BUCKET/FOLDER[?]endpoint_override=HOST:PORT"),
        ("s3://[secret/data", "--data-root is no URL of an object store: write s3://BUCKET or"),
        ("s3:///AKIA:secret@bucket/data", "write s3://BUCKET or s3://BUCKET/FOLDER"),
        ("s3:///data", "write s3://BUCKET or s3://BUCKET/FOLDER"),
        ("s3://bucket/train*", "without patterns"),
        ("s3://bucket/../other", "without patterns"),
        ("gs://bucket/data", r"a URL \(gs://...\), and only data are read from one, which begins with s3://"),
    ],
)
def test_a_url_that_is_refused(url: str, told: str) -> None:
    with pytest.raises(RequestError, match=told) as raised:
        given_root(url, "--data-root")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o1777])
def test_a_folder_that_is_ones_own(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    require_own(tmp_path)
    require_own(tmp_path / "none")


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_folder_that_everybody_may_change(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(RequestError, match="Everybody may write to .* and so change what runs: `chmod -R go-w"):
        require_own(tmp_path)


@pytest.mark.parametrize(
    ("name", "members", "own"),
    [("me", [], True), ("me", ["me"], True), ("me", ["you"], False), ("users", [], False), (None, [], True)],
)
def test_a_folder_of_a_group(
    name: str | None, members: list[str], own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def group(gid: int) -> Any:
        if name is None:
            raise KeyError(gid)
        return SimpleNamespace(gr_name=name, gr_mem=members)

    monkeypatch.setattr(grp, "getgrgid", group)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_name="me"))
    monkeypatch.setattr(os, "getgid", lambda: tmp_path.stat().st_gid)
    tmp_path.chmod(0o775)
    with nullcontext() if own else pytest.raises(RequestError, match="A group of several may write"):
        require_own(tmp_path)
    monkeypatch.setattr(os, "getgid", lambda: tmp_path.stat().st_gid + 1)
    with pytest.raises(RequestError, match="A group of several may write"):
        require_own(tmp_path)


def test_what_is_written_is_its_owners_to_change_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        with owner_writes():
            (tmp_path / "folder").mkdir()
            (tmp_path / "file").touch()
        assert os.umask(0o002) == 0o002
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("folder", "file")] == [0o755, 0o644]


def test_a_file_and_a_folder_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "spec.yaml"
    file.touch()
    file.chmod(0o1666)  # of a file the sticky bit says nothing
    with pytest.raises(RequestError, match="Everybody may write to .*spec.yaml"):
        require_own(file)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    if tmp_path.stat().st_uid:  # of root, who may do anything anyway
        with pytest.raises(RequestError, match="belongs to another user"):
            require_own(tmp_path)


@pytest.mark.parametrize("name", [NO_TEXT, f"{NO_TEXT}/below", "a\0b"])
def test_what_records_cannot_name_is_refused_in_text(name: str) -> None:
    with pytest.raises(RequestError, match="rename it|name another") as caught:
        require_text(Path(name))
    str(caught.value).encode()


def test_an_output_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    for name in ODD_NAMES:
        require_output(tmp_path / name)
    (tmp_path / "old.csv").write_text("old")
    require_output(tmp_path / "old.csv")
    require_output(tmp_path / "new" / "folder" / "x.csv", makes_folders=True)
    require_folder(tmp_path / "another" / "one")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("old.csv", "old")]


def test_outputs_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "device.csv").symlink_to(os.devnull)
    os.mkfifo(tmp_path / "pipe.csv")
    wrong = {
        tmp_path: "is a folder",
        tmp_path / "absent" / "x.csv": "is not there",
        tmp_path / "file" / "x.csv": "is not there",
        tmp_path / "device.csv": "no plain file",
        tmp_path / "pipe.csv": "no plain file",
        tmp_path / ("x" * 250 + ".csv"): "cannot be written",
        tmp_path / ("x" * 245): "cannot be written",  # the name itself fits; the one it is written under does not
        tmp_path / NO_TEXT: "not UTF-8",
        Path("/proc/x.csv"): "cannot be written",
    }
    for path, words in wrong.items():
        with pytest.raises(RequestError, match=words):
            require_output(path)
    for path in (tmp_path / "file" / "x" / "x.csv", Path("/proc/x/y.csv")):
        with pytest.raises(RequestError, match="cannot be written"):
            require_output(path, makes_folders=True)
    with pytest.raises(RequestError, match=r"file is a file"):
        require_folder(tmp_path / "file" / "below")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device.csv", "file", "pipe.csv"]


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    with read_only(tmp_path / "locked") as folder:
        for check in (lambda: require_output(folder / "x.csv"), lambda: require_folder(folder / "x")):
            with pytest.raises(RequestError, match="cannot be written"):
                check()


def test_a_full_disk_is_no_fault_of_the_request(tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "size=64k") as folder:
        (folder / "data").write_bytes(bytes(64 << 10))
        with pytest.raises(RunError, match="free some space"):
            require_output(folder / "x.csv")
        assert [path.name for path in folder.iterdir()] == ["data"]


def test_what_the_system_says_while_writing_is_told_in_a_sentence(tmp_path: Path) -> None:
    for number in (*FULL, errno.EROFS, errno.EACCES, errno.EIO):
        wanted = RunError if number in FULL else RequestError
        with pytest.raises(wanted, match=r"x\.csv cannot be written \(\w") as caught, writing(tmp_path / "x.csv"):
            raise OSError(number, os.strerror(number))
        assert "\n" not in str(caught.value)
