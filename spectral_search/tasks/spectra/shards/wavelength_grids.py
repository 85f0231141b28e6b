"""Whether shards lie on one wavelength grid: only then can one model read them all. One rule, for a run and for its
inspection.

Shape suffixes: L pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.wavelengths import Wavelengths

WAVE_TOLERANCE_ANGSTROM = 1e-3
"""How far apart the pixels of shards of one grid may be, beyond the last digit of what is stored."""


@dataclass(frozen=True)
class Grid:
    """The grid of one shard: its name, pixels L of each spectrum, and wavelengths."""

    name: str
    pixels: int
    wave: Wavelengths = field(repr=False)

    @classmethod
    def of(cls, shard: Shard, name: str) -> "Grid":
        """The grid of an open shard, under the name that messages use."""
        return cls(name, shard.pixels, shard.wave)


def grid_faults(grids: Sequence[Grid]) -> list[str]:
    """Compares every grid with the first of its kind; one sentence for each that is another.

    Wavelengths are compared in Angstrom, whatever they are stored in; shards without are not compared.
    """
    faults = [
        f"The shards disagree on pixels: {grids[0].name} has {grids[0].pixels} a spectrum, {grid.name} has "
        f"{grid.pixels}; keep shards of one grid in a data root."
        for grid in grids
        if grid.pixels != grids[0].pixels
    ]
    comparable = [grid for grid in grids if grid.pixels == grids[0].pixels and grid.wave.centres_angstrom_L is not None]
    return faults + [fault for other in comparable[1:] if (fault := _wave_fault(comparable[0], other))]


def _wave_fault(first: Grid, other: Grid) -> str:
    first_L, other_L = first.wave.centres_angstrom_L, other.wave.centres_angstrom_L
    if first_L is None or other_L is None:
        return ""
    tolerance = WAVE_TOLERANCE_ANGSTROM + first.wave.rounding_angstrom + other.wave.rounding_angstrom
    apart = _apart(first_L, other_L)
    if apart <= tolerance:
        return ""
    if _apart(first_L, other_L[::-1]) <= tolerance:
        return (
            f"The shards disagree on the order of wavelengths: those of {first.name} are {first.wave.order}, those of "
            f"{other.name} {other.wave.order}; turn the spectra and wavelengths of one of them round."
        )
    units = first.wave.unit.name, other.wave.unit.name
    stored = "" if units[0] == units[1] else f" (stored in {units[0]} and in {units[1]})"
    return (
        f"The shards disagree on wavelength: {first.name} covers {_covered(first_L)} Angstrom, {other.name} "
        f"{_covered(other_L)}{stored}, up to {apart:.3g} Angstrom apart (allowed {WAVE_TOLERANCE_ANGSTROM:g}); keep "
        "shards of one grid in a data root."
    )


def _apart(first_L: np.ndarray, other_L: np.ndarray) -> float:
    return float(np.max(np.abs(other_L - first_L), initial=0.0))


def _covered(wave_L: np.ndarray) -> str:
    return f"{wave_L[0]:.3f} to {wave_L[-1]:.3f}"
