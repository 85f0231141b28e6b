"""Where Ray's session and token lie: under a long TMPDIR, one that cannot be written, and without a home folder."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from spectral_search.errors import RequestError
from spectral_search.run import ray_home
from spectral_search.run.ray_home import (
    LONGEST_TAIL,
    SOCKET_BYTES,
    check_session_root,
    lent_home,
    protect_token,
    session_folder,
    session_root,
)


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR", ray_home.TOKEN, ray_home.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environ", "root"),
    [
        ({}, "/tmp/ray"),
        ({"TMPDIR": ""}, "/tmp/ray"),
        ({"TMPDIR": "/scratch"}, "/scratch/ray"),
        ({"TMPDIR": "/scratch", "RAY_TMPDIR": "/other"}, "/other/ray"),
    ],
)
def test_the_root_of_sessions_is_rays_own(environ: dict[str, str], root: str) -> None:
    assert session_root(environ) == Path(root)


def test_a_session_lies_in_a_tmpdir_that_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/tmp")
    with session_folder() as folder:
        assert folder == Path("/tmp/ray")
    assert folder.is_dir()


@pytest.mark.parametrize("letter", ["d", "ä"])
def test_a_long_tmpdir_is_reached_by_a_short_link_that_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, letter: str
) -> None:
    deep = tmp_path / (letter * 50) / (letter * 50)
    monkeypatch.setenv("TMPDIR", str(deep))
    with session_folder() as folder:
        assert len(os.fsencode(f"{folder}{LONGEST_TAIL}")) <= SOCKET_BYTES
        (folder / "file").write_text("lies where there is space")
        assert [path.name for path in deep.glob("ray/*/file")] == ["file"]
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert not folder.is_symlink() and not folder.parent.exists()
    assert list((deep / "ray").iterdir()) == []


def test_where_no_short_folder_can_be_made_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("d" * 80)))
    monkeypatch.setattr(ray_home, "SHORT_ROOTS", (Path("/proc/none"),))
    with (
        pytest.raises(
            RequestError, match=r"too long for the sockets .* set RAY_TMPDIR to a folder of at most 39 bytes"
        ),
        session_folder(),
    ):
        pass


@pytest.mark.parametrize("start", [check_session_root, lambda: session_folder().__enter__()])
def test_a_session_folder_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch, start: object) -> None:
    assert callable(start)
    monkeypatch.setenv("TMPDIR", "/proc/none")
    with pytest.raises(RequestError, match=r"in /proc/none/ray \(No such file or directory\): set TMPDIR .* inline"):
        start()


def test_the_token_lies_in_the_home_folder_for_its_owner_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    protect_token()
    token = tmp_path / ".ray" / "auth_token"
    made = token.read_text()
    assert len(made) == 64 and stat.S_IMODE(token.stat().st_mode) == 0o600
    protect_token()
    assert token.read_text() == made and ray_home.TOKEN not in os.environ


def test_without_a_home_folder_the_token_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setenv(ray_home.TOKEN, "")
    protect_token()
    made = os.environ[ray_home.TOKEN]
    assert len(made) == 64
    protect_token()
    assert os.environ[ray_home.TOKEN] == made


def test_a_home_folder_is_lent_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    with lent_home():
        assert os.environ["HOME"] == "/home/somebody"

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with lent_home():
        assert Path.home() == tmp_path
    assert "HOME" not in os.environ


def test_a_token_that_was_given_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(ray_home.TOKEN_FILE, "/some/file")
    protect_token()
    assert ray_home.TOKEN not in os.environ and list(tmp_path.iterdir()) == []
