"""Why a file cannot be opened decides what is said."""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.hdf5_file import open_hdf5, read_refusal, why_unreadable

WRITER = """
import os, signal, sys
import h5py, numpy
file = h5py.File(sys.argv[1], "w", libver=sys.argv[2])
file["flux"] = numpy.ones((4, 5))
file.flush()
print("open", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def _writer(path: Path, libver: str) -> Iterator[None]:
    """Another process that has the file open for writing, and is killed at the end."""
    command = [sys.executable, "-c", WRITER, str(path), libver]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"open\n"
        yield
        process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["flux"] = np.ones((4, 5))
    return tmp_path / "dataset.h5"


def _said(path: Path) -> str:
    with pytest.raises(RequestError) as caught:
        open_hdf5(path)
    (sentence,) = caught.value.faults
    assert sentence.startswith(str(path)) and sentence.endswith(".") and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_a_file_that_is_being_written_and_one_whose_writer_was_killed(tmp_path: Path, libver: str) -> None:
    path = tmp_path / "dataset.h5"
    with _writer(path, libver):
        assert "another process is writing the file and has locked it; wait until it has finished" in _said(path)
    if libver == "earliest":
        open_hdf5(path).close()  # what was flushed is whole, and there is no mark
    else:
        sentence = _said(path)
        assert "marked as being written" in sentence and "h5clear -s FILE" in sentence and "damaged" not in sentence


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "no such file; check the path"),
    "dangling": (
        lambda path: (path.unlink(), path.symlink_to("gone.h5")),
        "no such file, to which it is a link: gone.h5",
    ),
    "loop": (lambda path: (path.unlink(), path.symlink_to(path)), "Too many levels of symbolic links"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder, not a shard"),
    "pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "a pipe, socket or device"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
    "text": (lambda path: path.write_text("wave,flux\n" * 100), "not an HDF5 file (1,000 bytes"),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
        "only a Git LFS pointer, not the file itself; fetch it with git lfs pull",
    ),
    "cut short": (
        lambda path: os.truncate(path, 2000),
        "the HDF5 file is truncated (2,000 of 2,208 bytes are there); copy or write it again",
    ),
    "damaged": (
        lambda path: path.write_bytes(path.read_bytes()[:8] + b"\xff" * 88 + path.read_bytes()[96:]),
        "the HDF5 file is damaged (2,208 bytes;",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_fault_has_its_own_sentence(name: str, path: Path) -> None:
    damage, expected = DAMAGES[name]
    damage(path)
    assert expected in _said(path)


def test_a_name_that_cannot_be_one(tmp_path: Path) -> None:
    assert "File name too long" in _said(tmp_path / ("x" * 300))
    assert "null" in _said(tmp_path / "a\0b")


def test_too_many_open_files(path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = os.open(path, os.O_RDONLY)
    os.close(spare)  # the lowest number that is free
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, limits[1]))
        sentence = _said(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert (
        f"too many files are open at once (this process may have {spare:,}); raise the limit with ulimit -n" in sentence
    )


def test_no_permission(path: Path) -> None:
    path.chmod(0)
    path.parent.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)  # root may read everything
    try:
        assert "no permission to read the file; ask its owner or copy it" in _said(path)
    finally:
        os.seteuid(os.getuid())
        path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EAGAIN, "another process is writing the file"),
        (
            errno.ENOLCK,
            "cannot lock the file (No locks available); if no process is writing it, set HDF5_USE",
        ),
        (errno.ENOSYS, "HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.EOPNOTSUPP, "HDF5_USE_FILE_LOCKING=FALSE"),
        (errno.EIO, "the disk or the network failed (Input/output error); check the disk or the mount"),
        (errno.ESTALE, "the disk or the network failed (Stale file handle)"),
        (errno.ENOENT, "the file is gone"),
        (errno.ENOMEM, "the file cannot be read (Cannot allocate memory)"),
    ],
)
def test_what_the_system_refuses_is_told_by_its_number(number: int, expected: str, path: Path) -> None:
    error = OSError(number, f"Unable to synchronously open file (errno = {number})\nbuf = 0x7ffd")
    assert expected in why_unreadable(path, error)
    assert expected in str(read_refusal(path, "reading rows 0:8 of flux failed", error))


def test_damage_met_while_reading_is_not_called_a_failing_disk(path: Path) -> None:
    sentence = str(read_refusal(path, "reading rows 0:8 of flux failed", OSError("inflate() failed\nmore")))
    assert sentence == (
        f"{path}: reading rows 0:8 of flux failed (inflate() failed); the file is damaged, copy or write it again."
    )
