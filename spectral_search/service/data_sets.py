"""Data sets: simulated, and looked into."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.places import given_path
from spectral_search.service.shown import Shown

if TYPE_CHECKING:
    from spectral_search.tasks.spectra.shards.shard_inspection import Inspection


def simulate(directory: str, shown: Shown, **sizes: Any) -> Path:
    """Write a simulated data set in the layout of real shards."""
    from spectral_search.tasks.spectra.simulator.simulate import simulate as write

    root = given_path(directory, "The folder to simulate into")
    write(root, progress=shown.progress("simulating"), **sizes)
    return root


def inspect(path: str, picture: str | None = None) -> "Inspection":
    """Look into a shard or a data root, and draw sample spectra if a file is named."""
    from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path

    data = given_path(path, "The shard or data root")
    if picture is not None:
        from spectral_search.tasks.spectra.shards.spectra_plot import check_picture_name, plot_samples

        check_picture_name(Path(picture))
    found = inspect_path(data)
    if picture is not None:
        plot_samples(data, picture)
    return found
