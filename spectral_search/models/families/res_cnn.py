"""The residual, dilated CNNs MVP-CNN-1 and -2: their section of a spec, numbers, and where their network lies."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from spectral_search.models.families.cnn import FAMILY as CNN
from spectral_search.models.families.cnn import NEEDS_A_NORM
from spectral_search.models.layer_numbers import (
    FULL,
    KEEPS_OUTPUT,
    conv_parameters,
    head_bytes,
    head_parameters,
    kernel_faults,
    norm_parameters,
)
from spectral_search.spec.base import linked_fault
from spectral_search.spec.family import Family, InputShape
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.model_section import (
    MOST_LAYERS,
    Activation,
    Init,
    ModelSection,
    Norm,
    Probability,
    Width,
    odd,
)


class ResCnnSpec(ModelSection):
    """Stem convolution, residual blocks of dilated convolutions, global average pool, MLP head (MVP-CNN-1 and -2).

    A block is Conv1d(kernel_size, dilation 1) - activation - norm - Conv1d(kernel_size, dilation d) - activation, plus
    its input. `dilations` gives d, one value for all blocks or one a block. With `parallel_kernels` the first
    convolution of a block is several of these widths side by side, concatenated over channels.
    """

    kind: Literal["res_cnn"]
    stem_channels: Width = 32
    stem_kernel_size: Annotated[int, Field(ge=1, le=4095)] = 7
    stem_stride: Annotated[int, Field(ge=1, le=64)] = 1
    channels: Width = 64
    blocks: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = 4
    kernel_size: Annotated[int, Field(ge=1, le=4095)] = 5
    dilations: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=MOST_LAYERS)] = [2]
    parallel_kernels: (
        Annotated[list[Annotated[int, Field(ge=1, le=4095)]], Field(min_length=2, max_length=MOST_LAYERS)] | None
    ) = None
    norm: Norm = "batch"
    activation: Activation = "gelu"
    dropout: Probability = 0.0
    stochastic_depth: Probability = Field(
        0.0, description="part of the examples that go without the last block in training; less in those before it"
    )
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]
    init: Init = "default"

    _odd_kernels = field_validator("kernel_size", "stem_kernel_size")(odd)

    @field_validator("parallel_kernels")
    @classmethod
    def _odd_parallel(cls, value: list[int] | None) -> list[int] | None:
        return value if value is None else [odd(k) for k in value]

    @model_validator(mode="after")
    def _lists_fit_blocks(self) -> "ResCnnSpec":
        if len(self.dilations) not in (1, self.blocks):
            message = (
                f"dilations has {len(self.dilations)} values for {self.blocks} blocks; give one value, or one a block"
            )
            raise linked_fault(message, "model.dilations", "model.blocks")
        if self.parallel_kernels and len(self.parallel_kernels) > self.channels:
            message = (
                f"parallel_kernels has {len(self.parallel_kernels)} widths for {self.channels} channels; "
                "each width needs a channel"
            )
            raise linked_fault(message, "model.parallel_kernels", "model.channels")
        return self

    def length(self, pixels: int) -> int:
        """Pixels that the blocks see."""
        return -(-pixels // self.stem_stride)


class ResCnnFamily(Family[ResCnnSpec]):
    """Keeps the full resolution through all blocks."""

    section = ResCnnSpec
    label, colour = CNN.label, CNN.colour  # results of both stand under one name
    network = "spectral_search.models.res_cnn_network:ResCnn"
    make_smaller = "make model.channels smaller"
    recomputes = True

    def input_faults(self, section: ResCnnSpec, shape: InputShape) -> list[str]:
        length = section.length(shape.pixels)
        first = (
            ("model.parallel_kernels", max(section.parallel_kernels))
            if section.parallel_kernels
            else ("model.kernel_size", section.kernel_size)
        )
        return (
            kernel_faults("model.stem_kernel_size", section.stem_kernel_size, shape.pixels)
            or kernel_faults(*first, length)
            or kernel_faults("model.dilations", section.kernel_size, length, max(section.dilations))
        )

    def parameters(self, section: ResCnnSpec, shape: InputShape) -> int:
        width = section.channels
        total = conv_parameters(shape.channels, section.stem_channels, section.stem_kernel_size)
        kernels = section.parallel_kernels or [section.kernel_size]
        shares = split_channels(width, len(kernels))
        for block in range(section.blocks):
            inputs = width if block else section.stem_channels
            total += sum(conv_parameters(inputs, w, k) for w, k in zip(shares, kernels, strict=True))
            total += norm_parameters(section.norm, width) + conv_parameters(width, width, section.kernel_size)
            total += inputs * width if inputs != width else 0
        return total + head_parameters(width, section.head)

    def forward_operations(self, section: ResCnnSpec, shape: InputShape) -> int:
        pixels = max(1, shape.pixels // section.stem_stride)
        widths = [section.stem_channels, *[section.channels] * section.blocks]
        kernels = section.parallel_kernels or [section.kernel_size]
        stem = shape.channels * section.stem_channels * section.stem_kernel_size
        first = sum(low * high for low, high in pairwise(widths)) * sum(kernels) // len(kernels)
        second = section.blocks * section.channels**2 * section.kernel_size
        return pixels * (stem + first + second)

    def step_bytes(self, section: ResCnnSpec, shape: InputShape, element: int) -> int:
        """Of a block: both convolutions' outputs, their activations, the norm's output and the sum."""
        return self._bytes(section, shape, element, section.blocks * self._tensors(section))

    def recomputed_bytes(self, section: ResCnnSpec, shape: InputShape, element: int) -> int:
        """The output of each block, and the rest of one of them."""
        return self._bytes(section, shape, element, section.blocks + self._tensors(section))

    @staticmethod
    def _tensors(section: ResCnnSpec) -> int:
        own = (section.norm != "none") + (section.activation not in KEEPS_OUTPUT) + (section.stochastic_depth > 0.0)
        return 3 + own

    @staticmethod
    def _bytes(section: ResCnnSpec, shape: InputShape, element: int, tensors: int) -> int:
        length = section.length(shape.pixels)
        stem, width = section.stem_channels * length, section.channels * length
        kept = element * (stem + tensors * width)
        return kept + 5 * width * FULL + head_bytes(section.head, element)

    def likely_cause_of_collapse(self, section: ResCnnSpec, fit: FitSpec) -> str | None:
        return NEEDS_A_NORM if section.norm == "none" else None


def split_channels(channels: int, parts: int) -> list[int]:
    """Share channels among parts as evenly as whole numbers allow, the first parts taking the rest."""
    return [channels // parts + (part < channels % parts) for part in range(parts)]


FAMILY = ResCnnFamily()
