"""A run that processes join, where the file system lets them."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from command_line import call, errors
from small_search import make_data, make_spec


def test_a_file_system_without_locks_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_spec(tmp_path, make_data(tmp_path / "data"))

    def lockless(*given: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", lockless)
    (fault,) = errors(call("run", "small.yaml", "--join", "shared", folder=tmp_path).require(2))
    assert "has no locks" in fault and "`run` without --join" in fault
    assert not (tmp_path / "ray_results").exists(), "before anything is begun"
