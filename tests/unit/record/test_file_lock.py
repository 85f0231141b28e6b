"""Locks on files, of this process and of others."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectral_search.record.file_lock import lock_of, open_to_lock, take_lock

HOLDS = """
import sys
from pathlib import Path
from spectral_search.record.file_lock import lock_of
with lock_of(Path(sys.argv[1])) as state:
    print(state, flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_one_processs_and_is_gone_with_it(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDS, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with lock_of(file) as alone, lock_of(file, shared=True) as together:
        assert (alone, together) == ("taken", "taken")
    other.kill()
    other.communicate()
    with lock_of(file, waits=True) as state:
        assert state == "held"
    assert file.exists()


def test_a_shared_lock_keeps_out_those_who_want_it_alone(tmp_path: Path) -> None:
    with lock_of(tmp_path / "lock", shared=True) as one, lock_of(tmp_path / "lock", shared=True) as two:
        assert (one, two) == ("held", "held")
        with lock_of(tmp_path / "lock") as state:
            assert state == "taken"


def test_what_is_not_there_is_made_only_where_it_may_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_to_lock(tmp_path / "lock", makes=False)
    descriptor = open_to_lock(tmp_path / "lock")
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_from_one_that_fails(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(number: int) -> Any:
        def flock(*given: Any) -> None:
            raise OSError(number, os.strerror(number))

        return flock

    with open(tmp_path / "lock", "wb") as file:
        monkeypatch.setattr(fcntl, "flock", answer(number))
        assert take_lock(file) == "none"
        monkeypatch.setattr(fcntl, "flock", answer(errno.EIO))
        with pytest.raises(OSError, match="Input/output error"):
            take_lock(file)
