"""Hidden folders in which runs are fetched; each is locked, so that what a killed process left of one is known."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spectral_search.places import partial_name
from spectral_search.record.file_lock import open_to_lock, take_lock
from spectral_search.record.paths import RunPaths

_LOCK = "fetching"


@contextmanager
def fetching_folder(paths: RunPaths) -> Iterator[Path]:
    """An empty folder out of sight beside a run's, gone after the block; what was left of others goes first.

    Raises:
        OSError: It cannot be made.
    """
    for other in paths.root.glob(f".{glob.escape(paths.name)}.*.tmp"):
        _remove_left(other)
    folder = partial_name(paths.folder)
    folder.mkdir(parents=True)
    try:
        descriptor = open_to_lock(folder / "unlocked")
        try:
            take_lock(descriptor)
            # By its name it is locked at once: whoever finds it without a lock knows that its process is gone.
            os.rename(folder / "unlocked", folder / _LOCK)
            yield folder
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(folder: Path) -> None:
    """Remove a folder whose process is gone; where there are no locks it stays, as nothing tells."""
    with suppress(OSError):
        descriptor = open_to_lock(folder / _LOCK, makes=False)
        try:
            is_left = take_lock(descriptor) == "held"
        finally:
            os.close(descriptor)
        if is_left:
            shutil.rmtree(folder)
