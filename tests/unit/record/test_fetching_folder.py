"""Folders in which runs are fetched: gone in the end, also what a killed process left; never that of a living one."""

import subprocess
import sys
from pathlib import Path

from spectral_search.record.fetching_folder import fetching_folder
from spectral_search.record.paths import RunPaths

_FETCHES = """
import sys
from pathlib import Path
from spectral_search.record.fetching_folder import fetching_folder
from spectral_search.record.paths import RunPaths
with fetching_folder(RunPaths(Path(sys.argv[1]), "one")) as folder:
    (folder / "one").mkdir()
    print(folder.name, flush=True)
    sys.stdin.read()
"""


def _hidden(root: Path) -> set[str]:
    return {path.name for path in root.glob(".*")}


def test_what_a_killed_process_left_goes_with_the_next_fetch(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "one")
    other = subprocess.Popen(
        [sys.executable, "-c", _FETCHES, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        left = other.stdout.readline().strip()
        with fetching_folder(paths) as folder:
            assert _hidden(tmp_path) == {left, folder.name}, "a living process has its folder"
    finally:
        other.kill()
        other.communicate()
    assert _hidden(tmp_path) == {left}
    with fetching_folder(paths) as folder:
        assert _hidden(tmp_path) == {folder.name}
    assert not _hidden(tmp_path)


def test_what_is_no_folder_of_a_fetch_stays(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path, "one")
    with paths.appearing() as begun, fetching_folder(paths):
        assert begun.folder.is_dir(), "a run that another process begins"
