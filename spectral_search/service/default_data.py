"""The data root of a spec that names none: DATA_ROOT, else a small simulated set that is made once."""

import os
import shutil
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.places import given_path, writing
from spectral_search.service.shown import Shown
from spectral_search.spec import home_folder as home
from spectral_search.spec.run import RunSpec

_CACHE_VERSION = 1
"""Raised with every change of the simulator that changes spectra: an old cache must not pass for the new."""
CACHE_SIZES = {"train": 8192, "val": 2048, "test": 2048}


def with_data(spec: RunSpec, shown: Shown, dry_run: bool) -> tuple[RunSpec, list[str]]:
    """The spec with its data root: as given, else DATA_ROOT, else a small simulated set."""
    if spec.data.root:
        return spec, []
    given = os.environ.get("DATA_ROOT")
    if given:
        return spec.override({"data.root": str(given_path(given, "DATA_ROOT").absolute())}), []
    folder = simulated_folder()
    if not folder.is_dir():
        if dry_run:
            raise RequestError(
                "No data root: give --data-root DIR or set DATA_ROOT. Without --dry-run, a small data set is "
                f"simulated once into {folder}."
            )
        _simulate_cache(folder, shown)
    note = f"No data root given: using simulated spectra in {folder}, an approximation and no substitute for real ones."
    return spec.override({"data.root": str(folder)}), [note]


def simulated_folder() -> Path:
    """Where the small simulated data set lies."""
    sizes = "-".join(str(size) for size in CACHE_SIZES.values())
    return home.cache_folder() / f"simulated-v{_CACHE_VERSION}-{sizes}"


def _simulate_cache(folder: Path, shown: Shown) -> None:
    from spectral_search.tasks.spectra.simulator.simulate import simulate as write

    total = sum(CACHE_SIZES.values())
    shown.say(f"No data root given: simulating {total:,} spectra once into {folder} (about a minute).")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"No data root given, and a simulated set cannot be kept in {folder.parent} ({error.strerror}): give "
            "--data-root DIR, or set XDG_CACHE_HOME to a folder that you may write to."
        ) from error
    try:
        write(partial, **CACHE_SIZES, dtype="float32", progress=shown.progress("simulating"))
        # Renamed when whole: another run that started at the same time, or a cut, never leaves half a set behind.
        with writing(folder):
            partial.rename(folder)
    except RequestError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
