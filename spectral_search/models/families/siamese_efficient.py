"""Siamese networks of inverted residuals: their section of a spec, numbers, and where their network lies."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from spectral_search.models.layer_numbers import FULL, linear_parameters, norm_parameters
from spectral_search.models.pair_section import (
    IMAGES,
    PairSection,
    comparison_bytes,
    comparison_operations,
    comparison_parameters,
    halved,
    image_shape,
    pair_faults,
)
from spectral_search.spec.base import linked_fault
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.model_section import Width, odd

STEM_KERNEL = 3
Few = Annotated[int, Field(ge=1, le=64)]


class SiameseEfficientSpec(PairSection):
    """Like EfficientNet-B0 (Tan and Le 2019) with fewer and narrower stages, for small images.

    A stem, stages of inverted residuals (expansion, convolution of each channel by itself, squeeze and excitation,
    projection), the first stage at full resolution and each other at half of the one before, a convolution to
    `feat_dim`, and the mean over all pixels, for both images alike; then fusion and head. Activations are SiLU.
    """

    kind: Literal["siamese_efficient"]
    stem_channels: Width = 16
    channels: Annotated[list[Width], Field(min_length=1, max_length=8)] = Field(
        [16, 24, 40, 80], description="of each stage"
    )
    blocks: Annotated[list[Few], Field(min_length=1, max_length=8)] = Field([1, 2, 2, 3], description="of each stage")
    expansion: Few = Field(6, description="inner channels of a block / its inputs; the first stage has 1")
    kernel_size: Few = 3
    squeeze: Annotated[int, Field(ge=1, le=1024)] = Field(4, description="inputs of a block / units of its squeeze")

    _odd_kernel = field_validator("kernel_size")(odd)

    @model_validator(mode="after")
    def _lists_agree(self) -> "SiameseEfficientSpec":
        if len(self.channels) != len(self.blocks):
            message = f"channels has {len(self.channels)} stages and blocks {len(self.blocks)}; give both one a stage"
            raise linked_fault(message, "model.channels", "model.blocks")
        return self


class Inverted(NamedTuple):
    """An inverted residual: channels, units of its squeeze, stride, and rows and columns before and after it."""

    inputs: int
    inner: int
    squeezed: int
    outputs: int
    stride: int
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def adds(self) -> bool:
        """Whether its input is added to its output."""
        return self.stride == 1 and self.inputs == self.outputs

    @property
    def expands(self) -> bool:
        """Whether it has an expansion."""
        return self.inner != self.inputs


def inverted_blocks(section: SiameseEfficientSpec, shape: InputShape) -> Iterator[Inverted]:
    """All inverted residuals, for images of a shape."""
    place, inputs = (shape.height, shape.width), section.scaled(section.stem_channels)
    for stage, (channels, count) in enumerate(zip(section.channels, section.blocks, strict=True)):
        outputs = section.scaled(channels)
        for block in range(count):
            stride = 2 if stage and not block else 1
            after = halved(place[0], stride), halved(place[1], stride)
            inner = inputs * (section.expansion if stage else 1)
            yield Inverted(inputs, inner, max(1, inputs // section.squeeze), outputs, stride, place, after)
            place, inputs = after, outputs


class SiameseEfficientFamily(Family[SiameseEfficientSpec]):
    """Compares two images by features that one network of inverted residuals finds in each."""

    section = SiameseEfficientSpec
    label = "Siamese EfficientNet"
    colour = Colour("#8a6d00", "#e0c04d")
    network = "spectral_search.models.siamese_efficient_network:SiameseEfficient"
    compares = True
    make_smaller = "make model.width_mult smaller"

    def input_faults(self, section: SiameseEfficientSpec, shape: InputShape) -> list[str]:
        return pair_faults(shape)

    def parameters(self, section: SiameseEfficientSpec, shape: InputShape) -> int:
        stem = section.scaled(section.stem_channels)
        total, last = _conv(section, image_shape(shape).channels * stem * STEM_KERNEL**2, stem), stem
        for block in inverted_blocks(section, shape):
            total += _conv(section, block.inputs * block.inner, block.inner) if block.expands else 0
            total += _conv(section, block.inner * section.kernel_size**2, block.inner)
            total += sum(linear_parameters(*ends) for ends in pairwise([block.inner, block.squeezed, block.inner]))
            total += _conv(section, block.inner * block.outputs, block.outputs)
            last = block.outputs
        return total + _conv(section, last * section.feat_dim, section.feat_dim) + comparison_parameters(section)

    def forward_operations(self, section: SiameseEfficientSpec, shape: InputShape) -> int:
        stem = section.scaled(section.stem_channels)
        total = shape.pixels * image_shape(shape).channels * stem * STEM_KERNEL**2
        last, pixels = stem, shape.pixels
        for block in inverted_blocks(section, shape):
            before, pixels = _area(block.before), _area(block.after)
            total += before * block.inputs * block.inner if block.expands else 0
            total += pixels * block.inner * (section.kernel_size**2 + block.outputs)
            total += 2 * block.inner * block.squeezed
            last = block.outputs
        return IMAGES * (total + pixels * last * section.feat_dim) + comparison_operations(section)

    def step_bytes(self, section: SiameseEfficientSpec, shape: InputShape, element: int) -> int:
        """Of each convolution: its output, the norm's and the activation's; of the squeeze: its product."""
        tensors = 2 + (section.norm != "none")
        stem = section.scaled(section.stem_channels) * shape.pixels
        kept, largest, last, pixels = tensors * stem, stem, 0, shape.pixels
        for block in inverted_blocks(section, shape):
            before, pixels = _area(block.before), _area(block.after)
            kept += tensors * block.inner * before if block.expands else 0
            kept += (tensors + 1) * block.inner * pixels + (tensors - 1) * block.outputs * pixels
            largest, last = max(largest, block.inner * before), block.outputs
        kept += tensors * section.feat_dim * pixels + last
        return IMAGES * (kept * element + 3 * largest * FULL) + comparison_bytes(section, element)


def _area(place: tuple[int, int]) -> int:
    return place[0] * place[1]


def _conv(section: SiameseEfficientSpec, weights: int, outputs: int) -> int:
    """A convolution with its norm; its bias is the norm's where there is one."""
    return weights + (outputs if section.norm == "none" else 0) + norm_parameters(section.norm, outputs)


FAMILY = SiameseEfficientFamily()
