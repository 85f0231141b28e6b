"""The data root of a spec that names none: DATA_ROOT, else what its task makes once."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.places import given_root, writing
from spectral_search.service.fetched import fetch_roots
from spectral_search.service.shown import Shown
from spectral_search.spec import home_folder as home
from spectral_search.spec.run import RunSpec
from spectral_search.task.registry import task_of
from spectral_search.task.verbs import DefaultData


def named_data(spec: RunSpec) -> RunSpec:
    """The spec with its data root as given, else DATA_ROOT; without one where neither is."""
    given = os.environ.get("DATA_ROOT")
    return spec.override({"data.root": given_root(given, "DATA_ROOT")}) if given and not spec.data.root else spec


def with_data(spec: RunSpec, shown: Shown, dry_run: bool) -> tuple[RunSpec, list[str]]:
    """The spec with its data root: as given, else DATA_ROOT, else what its task makes; what to say of it."""
    spec = named_data(spec)
    if spec.data.root:
        fetch_roots(spec.data, shown)
        return spec, []
    made = task_of(spec.task).default_data()
    if made is None:
        return spec, []
    place = place_of(made)
    if not place.exists():
        if dry_run:
            raise RequestError(
                "No data root: give --data-root DIR or set DATA_ROOT. Without --dry-run, a small data set is "
                f"made once ({made.called}) in {place}."
            )
        _make(made, place, shown)
    note = f"No data root given: using {made.called} in {place}{f', {made.caveat}' if made.caveat else ''}."
    return spec.override({"data.root": str(place)}), [note]


def place_of(made: DefaultData) -> Path:
    """Where such data lie."""
    return home.cache_folder() / made.name


def _make(made: DefaultData, place: Path, shown: Shown) -> None:
    shown.say(f"No data root given: {made.making} once into {place} ({made.takes}).")
    partial = place.with_name(f".{os.getpid()}.{place.name}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"No data root given, and {made.called} cannot be kept in {place.parent} ({error.strerror}): give "
            "--data-root DIR, or set XDG_CACHE_HOME to a folder that you may write to."
        ) from error
    try:
        made.write(partial, shown)
        # Renamed when whole: another run that started at the same time, or a cut, never leaves half a set behind.
        with writing(place):
            partial.rename(place)
    except RequestError:
        if not place.exists():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):  # data that are one file
            partial.unlink()
