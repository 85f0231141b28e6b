"""How much memory a training step of a network needs, in closed form. Imports no torch: a dry run can say it."""

from spectral_search.spec.families import family_of
from spectral_search.spec.family import BINS, InputShape
from spectral_search.spec.model_section import ModelSection


def step_bytes(
    spec: ModelSection,
    *,
    pixels: int,
    channels: int,
    batch: int,
    element: int = 4,
    bins: int = BINS,
    height: int = 1,
    outputs: int = 1,
    recomputed: bool = False,
) -> int:
    """Memory of one training step at its fullest moment, without weights, their gradients and the input.

    Args:
        spec: The `model` section.
        pixels: Of one example, per channel.
        channels: Of one example.
        batch: Examples of a step.
        element: Bytes of a number in a product: 4, or 2 in half precision.
        bins: Experts of a mixture.
        height: Rows that the pixels of a channel lie in.
        outputs: Numbers that the network gives for an example.
        recomputed: Whether activations are computed once more on the way back.
    """
    shape = InputShape(pixels, channels, bins, height, outputs)
    family = family_of(spec.kind)
    return batch * (family.recomputed_bytes if recomputed else family.step_bytes)(spec, shape, element)
