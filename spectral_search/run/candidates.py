"""What the trials of a search may be, known before any is proposed."""

from contextlib import suppress
from typing import Any, Literal

from spectral_search.errors import RequestError
from spectral_search.spec.data import SUBSPACE_INPUTS
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.tasks.spectra.shards.loaded_spectra import bytes_in_memory
from spectral_search.tasks.spectra.shards.split import Selection

COMPONENT_BYTES = 400
"""Of a spectrum in components, about: 64 of them, and what its noise is mixed of."""
CHECKED_CHOICES = 500
"""Combinations of values that are looked at before anything starts."""


def inputs(spec: RunSpec) -> set[str]:
    """Every kind of input that a trial may have."""
    return values(spec, "data.input.kind")


def values(spec: RunSpec, key: str) -> set[Any]:
    """The values that trials may have for a key; of a range its ends and what lies next to them."""
    base = spec.base.value(key)
    if spec.search.sampler == "grid":
        return {point.get(key, base) for point in spec.grid_points()}
    domain = spec.space.get(key)
    if domain is None:
        return {base}
    return set(domain.probes()) | ({base} if domain.when else set())


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


def kept_bytes(spec: RunSpec, train: Selection) -> int:
    """What is kept in memory of the training spectra, the residency decided: pixels, components or both."""
    kinds, data = drawn_in(spec), spec.data
    kept = 0
    if "pixels" in kinds and data.residency == "resident":
        kept += bytes_in_memory(train, stored_as=data.stored_as)
    if "components" in kinds:
        kept += COMPONENT_BYTES * len(train)
    return kept


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
