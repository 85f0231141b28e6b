"""What families share that compare two images: the section of the comparison, and its numbers. Imports no torch.

An input holds both images, the channels of the first before those of the second.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from spectral_search.models.layer_numbers import FULL, head_bytes, head_parameters, linear_parameters
from spectral_search.spec.family import InputShape
from spectral_search.spec.model_section import MOST_LAYERS, ModelSection, Norm, Probability, Width

IMAGES = 2
Fusion = Literal["concat", "difference", "product", "both", "learned", "gated", "symmetric"]
_FUSED: dict[Fusion, int] = {
    "concat": 2,
    "difference": 1,
    "product": 1,
    "both": 2,
    "learned": 1,
    "gated": 1,
    "symmetric": 3,
}
"""Features that the head reads, in parts of those of an image."""
MIXED = 3
"""Vectors that `learned` weighs: sum, difference and product."""


class PairSection(ModelSection):
    """One encoder for both images, a fusion of the two vectors of features, and an MLP head."""

    feat_dim: Width = Field(256, description="features of an image")
    width_mult: Annotated[float, Field(gt=0.0, le=16.0)] = Field(1.0, description="factor on all channels")
    fusion: Fusion = Field(
        "symmetric",
        description="of the features a and b of both images. concat: a and b; difference: |a - b|; product: a * b; "
        "both: difference and product; learned: a weighted mean of sum, difference and product; gated: difference and "
        "product, mixed feature by feature as a gate of a and b says; symmetric: sum, difference and product, the "
        "same answer for (a, b) and (b, a) bit by bit",
    )
    norm: Norm = "batch"
    dropout: Probability = 0.0
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]

    def scaled(self, channels: int) -> int:
        """Channels times `width_mult`, at least one."""
        return max(1, round(channels * self.width_mult))


def image_shape(shape: InputShape) -> InputShape:
    """Of one image of a pair."""
    return InputShape(shape.pixels, shape.channels // IMAGES, shape.bins, shape.height)


def pair_faults(shape: InputShape) -> list[str]:
    """Why an input is no two images, as a list of one sentence or none."""
    if shape.channels % IMAGES == 0:
        return []
    told = f"such a network compares two images, each with half of the channels, and this input has {shape.channels}"
    return [f"{told}; use another model.kind, or data of pairs"]


def fused_features(section: PairSection) -> int:
    """What the head reads."""
    return _FUSED[section.fusion] * section.feat_dim


def comparison_parameters(section: PairSection) -> int:
    """Of the fusion and the head."""
    extra = {"learned": MIXED, "gated": linear_parameters(2 * section.feat_dim, section.feat_dim)}
    return extra.get(section.fusion, 0) + head_parameters(fused_features(section), section.head)


def comparison_operations(section: PairSection) -> int:
    """Multiply-accumulates of the fusion and the head."""
    gate = 2 * section.feat_dim**2 if section.fusion == "gated" else 0
    widths = [fused_features(section), *section.head, 1]
    return gate + sum(low * high for low, high in pairwise(widths))


def comparison_bytes(section: PairSection, element: int) -> int:
    """Of one example: both vectors of features, what is made of them, and the head."""
    return (2 + 2 * _FUSED[section.fusion]) * section.feat_dim * FULL + head_bytes(section.head, element)


def halved(length: int, stride: int) -> int:
    """What a convolution of this stride leaves, padded so that a stride of 1 leaves all."""
    return -(-length // stride)
