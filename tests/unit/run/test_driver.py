"""What is said of a folder that can no longer be written."""

import os
from pathlib import Path

import pytest

from spectral_search.errors import RunError
from spectral_search.record.paths import RunPaths
from spectral_search.run.driver import told_plainly


def test_a_folder_that_became_read_only_is_told_and_other_files_are_not(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "run")
    with pytest.raises(RunError, match="can no longer be written.*No run was begun"), told_plainly(paths):
        raise OSError(30, os.strerror(30), str(paths.manifest_json))
    with pytest.raises(PermissionError), told_plainly(paths):
        raise PermissionError(13, os.strerror(13), str(tmp_path / "data.h5"))
