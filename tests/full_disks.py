"""Places that take no files: real file systems that are read-only or full, where this process may mount them."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import Done, paths

ODD_NAMES = (
    "exp #1",
    "a?b",
    "%41",
    "{x}",
    "[1]",
    "ü é",
    "a&b=c;d",
    "file:x",
    "x?mode=memory",
    "a'b\"c",
    "[bold]",
    "~x",
)
"""Names of folders that mean something to a URL, a URI, a pattern, a template, a shell or rich's markup."""
NO_TEXT = os.fsdecode(b"x\xff")
"""A name of bytes that are no UTF-8."""


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory; skips the test where this process may not mount one."""
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user may not mount file systems")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A folder that takes no files: by its permissions, or, for root, by its file system."""
    if os.geteuid():
        folder.mkdir(mode=0o555)
        yield folder
        folder.chmod(0o755)
    else:
        with mounted(folder, "ro,size=64k"):
            yield folder


@contextmanager
def file_limit(most_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, which fails as a disk that is almost full does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def limited(*arguments: object, folder: Path, most_bytes: int) -> Done:
    """A command in a process whose files cannot grow beyond a size, as on a disk that is almost full."""
    code = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, resource.RLIM_INFINITY))\n"
        "from spectral_search.cli.main import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env=paths(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
