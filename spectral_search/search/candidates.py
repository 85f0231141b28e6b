"""What the trials of a search may be, known before any is proposed."""

from contextlib import suppress
from typing import Literal

from spectral_search.errors import RequestError
from spectral_search.spec.data import SUBSPACE_INPUTS
from spectral_search.spec.run import RunSpec, TrialConfig

CHECKED_CHOICES = 500
"""Combinations of values that are looked at before anything starts."""


def inputs(spec: RunSpec) -> set[str]:
    """Every kind of input that a trial may have."""
    kinds: set[str] = {spec.data.input.kind}
    key = "data.input.kind"
    if spec.search.sampler == "grid":
        kinds |= {point[key] for point in spec.grid_points() if key in point}
    elif key in spec.space:
        kinds |= set(spec.space[key].choices or [])
    return kinds


def drawn_in(spec: RunSpec) -> set[Literal["components", "pixels"]]:
    """Where the training noise of a search is drawn, and so what is kept of its training spectra."""
    kinds, components = inputs(spec), spec.data.noise_drawn != "pixels"
    found: set[Literal["components", "pixels"]] = set()
    if kinds & SUBSPACE_INPUTS and components:
        found.add("components")
    if kinds - SUBSPACE_INPUTS or not components:
        found.add("pixels")
    return found


def needs_subspace(spec: RunSpec) -> bool:
    """Whether a trial may read components of the signal."""
    return bool(inputs(spec) & SUBSPACE_INPUTS)


def candidates(spec: RunSpec) -> list[TrialConfig]:
    """What trials may be: every grid point, or every value of the space by itself."""
    points = spec.grid_points() if spec.search.sampler == "grid" else [{}]
    if spec.search.sampler != "grid":
        points += [{key: value} for key, domain in spec.space.items() for value in domain.probes()]
    found = []
    for point in points[:CHECKED_CHOICES]:
        with suppress(RequestError):  # a value that is possible only together with others
            found.append(spec.with_params(point))
    return found
