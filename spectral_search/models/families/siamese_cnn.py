"""Siamese residual CNNs: their section of a spec, numbers, and where their network lies."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from spectral_search.models.layer_numbers import (
    FULL,
    KEEPS_OUTPUT,
    linear_parameters,
    norm_parameters,
)
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
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.model_section import Activation, Width

KERNEL = 3
SPATIAL_KERNEL = 7
"""Of spatial attention, as in CBAM."""
Attention = Literal["none", "channel", "spatial", "both"]


class SiameseCnnSpec(PairSection):
    """A stem, stages of residual blocks, each at half the resolution and twice the channels of the one before, the mean
    over all pixels and a linear layer, for both images alike; then fusion and head (He et al. 2016; Woo et al. 2018).
    """

    kind: Literal["siamese_cnn"]
    layers: Annotated[list[Annotated[int, Field(ge=1, le=64)]], Field(min_length=1, max_length=6)] = Field(
        [2, 2, 2], description="residual blocks of each stage"
    )
    width: Width = Field(32, description="channels of the first stage")
    stem_stride: Annotated[int, Field(ge=1, le=4)] = Field(1, description="of the first convolution")
    attention: Attention = Field("none", description="of each block: which channels count, which places, or both")
    reduction: Annotated[int, Field(ge=1, le=1024)] = Field(8, description="channel attention: channels / hidden units")
    activation: Activation = "relu"

    def hidden(self, channels: int) -> int:
        """Hidden units of channel attention."""
        return max(1, channels // self.reduction)


class Block(NamedTuple):
    """A residual block: channels in and out, its stride, and the rows and columns that it puts out."""

    inputs: int
    outputs: int
    stride: int
    height: int
    width: int

    @property
    def projects(self) -> bool:
        """Whether its input must be brought to the shape of its output."""
        return self.stride > 1 or self.inputs != self.outputs


def blocks(section: SiameseCnnSpec, shape: InputShape) -> Iterator[Block]:
    """All residual blocks, for images of a shape."""
    height, width = (halved(length, section.stem_stride) for length in (shape.height, shape.width))
    inputs = section.scaled(section.width)
    for stage, count in enumerate(section.layers):
        outputs = section.scaled(section.width * 2**stage)
        for block in range(count):
            stride = 2 if stage and not block else 1
            height, width = halved(height, stride), halved(width, stride)
            yield Block(inputs, outputs, stride, height, width)
            inputs = outputs


class SiameseCnnFamily(Family[SiameseCnnSpec]):
    """Compares two images by features that one residual CNN finds in each."""

    section = SiameseCnnSpec
    label = "Siamese CNN"
    colour = Colour("#7a3f9d", "#c79be3")
    network = "spectral_search.models.siamese_cnn_network:SiameseCnn"
    compares = True
    make_smaller = "make model.width smaller"
    recomputes = True

    def input_faults(self, section: SiameseCnnSpec, shape: InputShape) -> list[str]:
        return pair_faults(shape)

    def parameters(self, section: SiameseCnnSpec, shape: InputShape) -> int:
        stem = section.scaled(section.width)
        total = _conv(section, image_shape(shape).channels, stem, KERNEL)
        last = stem
        for block in blocks(section, shape):
            total += _conv(section, block.inputs, block.outputs, KERNEL)
            total += _conv(section, block.outputs, block.outputs, KERNEL)
            total += _conv(section, block.inputs, block.outputs, 1) if block.projects else 0
            if section.attention in ("channel", "both"):
                hidden = section.hidden(block.outputs)
                total += linear_parameters(block.outputs, hidden) + linear_parameters(hidden, block.outputs)
            if section.attention in ("spatial", "both"):
                total += 2 * SPATIAL_KERNEL**2 + 1
            last = block.outputs
        return total + linear_parameters(last, section.feat_dim) + comparison_parameters(section)

    def forward_operations(self, section: SiameseCnnSpec, shape: InputShape) -> int:
        stem = section.scaled(section.width)
        height, width = (halved(length, section.stem_stride) for length in (shape.height, shape.width))
        total, last = height * width * image_shape(shape).channels * stem * KERNEL**2, stem
        for block in blocks(section, shape):
            products = (block.inputs + block.outputs) * block.outputs * KERNEL**2
            products += block.inputs * block.outputs if block.projects else 0
            products += 2 * SPATIAL_KERNEL**2 if section.attention in ("spatial", "both") else 0
            total += block.height * block.width * products
            if section.attention in ("channel", "both"):
                total += 4 * block.outputs * section.hidden(block.outputs)  # for means and for maxima
            last = block.outputs
        return IMAGES * (total + last * section.feat_dim) + comparison_operations(section)

    def step_bytes(self, section: SiameseCnnSpec, shape: InputShape, element: int) -> int:
        """Of a block: both convolutions' outputs, what norms and activations make of them, and attention's products."""
        return self._bytes(section, shape, element, recomputed=False)

    def recomputed_bytes(self, section: SiameseCnnSpec, shape: InputShape, element: int) -> int:
        """What each block puts out, and the rest of the largest."""
        return self._bytes(section, shape, element, recomputed=True)

    @staticmethod
    def _bytes(section: SiameseCnnSpec, shape: InputShape, element: int, *, recomputed: bool) -> int:
        extra = section.activation not in KEEPS_OUTPUT
        normed = section.norm != "none"
        of_conv = 1 + (normed and extra)
        height, width = (halved(length, section.stem_stride) for length in (shape.height, shape.width))
        stem = section.scaled(section.width) * height * width
        kept, largest, fullest = (1 + of_conv) * stem, stem, 0
        for block in blocks(section, shape):
            values = block.outputs * block.height * block.width
            # Of each attention: what it reads and what it makes of it.
            attended = (section.attention in ("channel", "both")) + (section.attention in ("spatial", "both"))
            of_block = values * (2 * of_conv + 2 + extra + 2 * attended + (2 if block.projects else 0))
            kept += values if recomputed else of_block
            largest, fullest = max(largest, values), max(fullest, of_block)
        kept += fullest if recomputed else 0
        on_the_way_back = (5 if normed else 3) * largest * FULL
        return IMAGES * (kept * element + on_the_way_back) + comparison_bytes(section, element)


def _conv(section: SiameseCnnSpec, inputs: int, outputs: int, kernel: int) -> int:
    """A convolution with its norm; its bias is the norm's where there is one."""
    bias = outputs if section.norm == "none" else 0
    return inputs * outputs * kernel**2 + bias + norm_parameters(section.norm, outputs)


FAMILY = SiameseCnnFamily()
