"""The `model` section: one strict class per kind of network."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from spectral_search.spec.base import Section, linked_fault

Width = Annotated[int, Field(ge=1, le=65536)]
MOST_LAYERS = 64
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Activation = Literal["relu", "gelu", "silu", "elu", "tanh"]
Norm = Literal["none", "batch", "layer", "group"]
Init = Literal["default", "xavier", "kaiming"]


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"{value} is even; a same-length convolution needs an odd kernel, such as {value + 1}")
    return value


class MlpSpec(Section):
    """Linear - norm - activation - dropout layers and a linear head.

    `residual` adds each hidden layer's input to its output (through a linear projection where widths differ).
    """

    kind: Literal["mlp"]
    hidden: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [256, 64]
    activation: Activation = "relu"
    norm: Norm = "none"
    norm_layers: Literal["all", "first"] = "all"
    dropout: Probability = 0.0
    residual: bool = False
    init: Init = "default"


class CnnSpec(Section):
    """Conv1d (- norm) - activation - MaxPool layers, adaptive average pool, MLP head.

    With `average_to` 1, as published, the average runs over the whole spectrum and the head cannot tell which line a
    feature came from; larger values keep that many positions of each channel apart.
    """

    kind: Literal["cnn"]
    channels: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [32, 64]
    kernel_size: Annotated[int, Field(ge=1, le=4095)] = 7
    norm: Norm = "none"
    activation: Activation = "relu"
    pool: Annotated[int, Field(ge=1, le=64)] = 2
    average_to: Annotated[int, Field(ge=1, le=4096)] = 1
    dropout: Probability = 0.0
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]
    init: Init = "default"

    _odd_kernel = field_validator("kernel_size")(_odd)


class ResCnnSpec(Section):
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
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]
    init: Init = "default"

    _odd_kernels = field_validator("kernel_size", "stem_kernel_size")(_odd)

    @field_validator("parallel_kernels")
    @classmethod
    def _odd_parallel(cls, value: list[int] | None) -> list[int] | None:
        return value if value is None else [_odd(k) for k in value]

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


class VitSpec(Section):
    """Transformer encoder over patches of pixels with a class token and learned positions.

    A patch begins every `stride` pixels: at the end of the one before where it is null, else they overlap. `conv` maps
    each to a token by one linear map; `sliding_window` normalises each patch first, and gives the map its mean and
    spread beside it.
    """

    kind: Literal["vit"]
    patch: Annotated[int, Field(ge=1, le=4096)] = 16
    stride: Annotated[int, Field(ge=1, le=4096)] | None = None
    tokeniser: Literal["conv", "sliding_window"] = "conv"
    width: Width = 256
    layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = 6
    heads: Annotated[int, Field(ge=1, le=64)] = 8
    dropout: Probability = 0.0

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "VitSpec":
        if self.width % self.heads:
            message = f"width {self.width} does not divide into {self.heads} heads; make it a multiple"
            raise linked_fault(message, "model.width", "model.heads")
        return self

    @model_validator(mode="after")
    def _patches_leave_no_gaps(self) -> "VitSpec":
        if self.step > self.patch:
            message = (
                f"stride {self.step} is wider than patch {self.patch}, so that pixels between two patches are never "
                f"read; make stride at most {self.patch}, or null for patches side by side"
            )
            raise linked_fault(message, "model.stride", "model.patch")
        return self

    @property
    def step(self) -> int:
        """Pixels from the beginning of one patch to that of the next."""
        return self.stride or self.patch

    def patches(self, pixels: int) -> int:
        """Patches that read every pixel, the last filled up where it reaches beyond the spectrum."""
        return 1 + max(0, -(-(pixels - self.patch) // self.step))


class MoeCnnSpec(Section):
    """One CNN expert for each T_eff x [M/H] bin, chosen by the true bin (oracle) or mixed by a learned gate."""

    kind: Literal["moe_cnn"]
    gate: Literal["oracle", "learned"] = "learned"
    average_to: Annotated[int, Field(ge=1, le=4096)] = 1
    channels: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [32, 64]
    kernel_size: Annotated[int, Field(ge=1, le=4095)] = 7
    norm: Norm = "batch"
    activation: Activation = "relu"
    dropout: Probability = 0.0
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]
    init: Init = "default"

    _odd_kernel = field_validator("kernel_size")(_odd)


ModelSpec = Annotated[MlpSpec | CnnSpec | ResCnnSpec | VitSpec | MoeCnnSpec, Field(discriminator="kind")]
