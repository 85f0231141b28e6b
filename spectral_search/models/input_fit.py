"""Whether a network fits its input: what a spec asks of the number of pixels. Imports no torch."""

from spectral_search.errors import RequestError
from spectral_search.spec.families import families, family_of
from spectral_search.spec.family import InputShape
from spectral_search.spec.model_section import ModelSection


def input_faults(spec: ModelSection, *, pixels: int, channels: int = 1, height: int = 1, outputs: int = 1) -> list[str]:
    """Say why a network of this spec cannot read such an input, one plain sentence a fault; empty when it fits.

    Args:
        spec: The `model` section.
        pixels: Of one example, per channel.
        channels: Of one example.
        height: Rows that the pixels of a channel lie in.
        outputs: Numbers that the network is to give for an example.
    """
    if pixels < 1:
        return [f"an input of {pixels} pixels has nothing to learn from; give inputs of at least 1 pixel"]
    if channels < 1:
        return [f"the input has {channels} channels; a network needs at least 1"]
    if pixels % height:
        return [f"an input of {pixels} pixels does not divide into {height} rows; give rows of equal length"]
    if outputs > 1 and not family_of(spec.kind).several_outputs:
        able = " or ".join(kind for kind, family in families().items() if family.several_outputs)
        told = f"model.kind {spec.kind} gives one number an example, and here {outputs:,} are to be predicted"
        return [f"{told}; use {able}" if able else told]
    return family_of(spec.kind).input_faults(spec, InputShape(pixels, channels, height=height, outputs=outputs))


def require_fit(spec: ModelSection, *, pixels: int, channels: int, height: int = 1, outputs: int = 1) -> None:
    """Raise RequestError, all faults at once, when the network cannot read such an input."""
    faults = input_faults(spec, pixels=pixels, channels=channels, height=height, outputs=outputs)
    if faults:
        raise RequestError(*faults)
