"""What the networks of a search may read, and what is kept of its spectra for that."""

from typing import Literal

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.candidate_configs import values
from spectral_search.tasks.spectra.section import SUBSPACE_INPUTS
from spectral_search.tasks.spectra.shards.loaded_spectra import bytes_in_memory
from spectral_search.tasks.spectra.shards.split import Selection

_COMPONENT_BYTES = 400
"""Of a spectrum in components, about: 64 of them, and what its noise is mixed of."""


def inputs(spec: RunSpec) -> set[str]:
    """Every kind of input that a trial may have."""
    return values(spec, "data.input.kind")


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
        kept += _COMPONENT_BYTES * len(train)
    return kept
