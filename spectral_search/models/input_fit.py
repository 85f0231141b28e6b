"""Whether a network fits its input: what a spec asks of the number of pixels. Imports no torch."""

from spectral_search.errors import RequestError
from spectral_search.spec.families import family_of
from spectral_search.spec.family import InputShape
from spectral_search.spec.model_section import ModelSection


def input_faults(spec: ModelSection, *, pixels: int, channels: int = 1) -> list[str]:
    """Say why a network of this spec cannot read such an input, one plain sentence a fault; empty when it fits.

    Args:
        spec: The `model` section.
        pixels: Of one example, per channel.
        channels: Of one example.
    """
    if pixels < 1:
        return [f"an input of {pixels} pixels has nothing to learn from; give inputs of at least 1 pixel"]
    if channels < 1:
        return [f"the input has {channels} channels; a network needs at least 1"]
    return family_of(spec.kind).input_faults(spec, InputShape(pixels, channels))


def require_fit(spec: ModelSection, *, pixels: int, channels: int) -> None:
    """Raise RequestError, all faults at once, when the network cannot read such an input."""
    faults = input_faults(spec, pixels=pixels, channels=channels)
    if faults:
        raise RequestError(*faults)
