"""A run is held by one process at a time, in a folder that can be written."""

from pathlib import Path

import pytest
from full_disks import read_only

from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.run.run_lock import hold


def test_a_run_whose_folder_is_read_only_is_not_held(tmp_path: Path) -> None:
    with (
        read_only(tmp_path / "run"),
        pytest.raises(RequestError, match="run run cannot go on"),
        hold(RunPaths(tmp_path, "run")),
    ):
        pass
