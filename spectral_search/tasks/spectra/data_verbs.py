"""Spectra as data: the verbs that simulate and inspect them, and the set of a search that is given none."""

import shlex
from pathlib import Path
from typing import Any

from spectral_search.task.verbs import Answer, Audience, DefaultData, Verb, VerbOptions, option

_CACHE_VERSION = 1
"""Raised with every change of the simulator that changes spectra: an old cache must not pass for the new."""
CACHE_SIZES = {"train": 8192, "val": 2048, "test": 2048}


class SimulateOptions(VerbOptions):
    """How many spectra, and how they are stored."""

    train: int = option(32000, "Training spectra.", ge=1)
    val: int = option(10000, "Val spectra.", ge=0)
    test: int = option(10000, "Test spectra.", ge=0)
    shards: int = option(1, "Files that train is cut into.", ge=1)
    pixels: int = option(4096, "Pixels of a spectrum.")
    seed: int = option(42, "The same seed gives the same spectra.")
    dtype: str = option("float64", "float64 as real shards, float32 or float16.")


class InspectOptions(VerbOptions):
    """What is drawn."""

    plot: str | None = option(None, "Draw sample spectra (png, pdf, svg).", metavar="FILE")


def _simulate(root: Path, options: SimulateOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.spectra.simulator.simulate import simulate

    asked: dict[str, Any] = options.model_dump()
    simulate(root, **asked, progress=audience.progress("simulating"))
    lines = (
        f"Wrote simulated spectra, an approximation, to {root}.",
        f"Next: spectral-search inspect {shlex.quote(str(root))} --plot spectra.png",
    )
    return Answer({"path": str(root), **asked}, lines=lines)


def _inspect(path: Path, options: InspectOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path

    if options.plot is not None:
        from spectral_search.tasks.spectra.shards.spectra_plot import check_picture_name, plot_samples

        check_picture_name(Path(options.plot))
    found = inspect_path(path)
    if options.plot is not None:
        plot_samples(path, options.plot)
    lines = () if options.plot is None else (f"wrote {options.plot}",)
    return Answer(found.to_dict(), found.render(), lines, found.has_faults)


SIMULATE = Verb(
    "Write simulated spectra in the layout of real shards. An approximation, no substitute for real spectra.",
    SimulateOptions,
    _simulate,
    of="The data root to make.",
)
INSPECT = Verb(
    "Show what is in a shard or a data root; the exit code is 1 where anything in it is a fault.",
    InspectOptions,
    _inspect,
    of="A shard or a data root.",
)


def small_set() -> DefaultData:
    """A small simulated set."""
    sizes = "-".join(str(size) for size in CACHE_SIZES.values())
    return DefaultData(
        name=f"simulated-v{_CACHE_VERSION}-{sizes}",
        making=f"simulating {sum(CACHE_SIZES.values()):,} spectra",
        takes="about a minute",
        called="simulated spectra",
        caveat="an approximation and no substitute for real ones",
        write=_write_small,
    )


def _write_small(root: Path, audience: Audience) -> None:
    from spectral_search.tasks.spectra.simulator.simulate import simulate

    simulate(root, **CACHE_SIZES, dtype="float32", progress=audience.progress("simulating"))
