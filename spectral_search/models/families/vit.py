"""The transformer over patches of pixels: its section of a spec, its numbers, and where its network lies.

Shape letters: T tokens (patches and the class token), D width, H heads.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spectral_search.models.layer_numbers import FULL, conv_parameters, linear_parameters
from spectral_search.spec.base import linked_fault
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.model_section import MOST_LAYERS, ModelSection, Probability, Width


class VitSpec(ModelSection):
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
    stochastic_depth: Probability = Field(
        0.0, description="part of the examples that go without a branch of the last layer in training; less before it"
    )

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
        """Patches that read every pixel, the last filled up where it reaches beyond them."""
        return 1 + max(0, -(-(pixels - self.patch) // self.step))


class VitFamily(Family[VitSpec]):
    """Lets every patch look at every other."""

    section = VitSpec
    label = "ViT"
    colour = Colour("#0f7d58", "#4fd0a0")
    network = "spectral_search.models.vit_network:Vit"
    high_lr = 2e-3
    recomputes = True
    make_smaller = "make model.width smaller, or model.patch and model.stride larger"

    def input_faults(self, section: VitSpec, shape: InputShape) -> list[str]:
        if section.patch <= shape.pixels:
            return []
        return [
            f"model.patch is {section.patch}, wider than an input of {shape.pixels} pixels; use at most {shape.pixels}"
        ]

    def parameters(self, section: VitSpec, shape: InputShape) -> int:
        width, tokens = section.width, section.patches(shape.pixels) + 1
        feedforward = linear_parameters(width, 4 * width) + linear_parameters(4 * width, width)
        attention = linear_parameters(width, 3 * width) + linear_parameters(width, width)
        block = attention + feedforward + 2 * 2 * width
        # Of a normalised window the mean and the spread are read too.
        read = section.patch + 2 * (section.tokeniser == "sliding_window")
        embedding = conv_parameters(shape.channels, width, read) + width + tokens * width
        head = linear_parameters(width, width) + linear_parameters(width, 1)
        return embedding + section.layers * block + 2 * width + head

    def forward_operations(self, section: VitSpec, shape: InputShape) -> int:
        tokens = section.patches(shape.pixels) + 1
        return section.layers * (12 * tokens * section.width**2 + 2 * tokens**2 * section.width)

    def step_bytes(self, section: VitSpec, shape: InputShape, element: int) -> int:
        """Of a block and a token: the stream and two norms in float32, qkv, attention, both feed-forward layers.

        Attention keeps no T x T matrix, but where dropout takes part in it: then scores, mask and product of each head.
        Normalised windows hold each pixel as often as windows overlap there: four times while they are made, then once.
        """
        return self._bytes(section, shape, element, recomputed=False)

    def recomputed_bytes(self, section: VitSpec, shape: InputShape, element: int) -> int:
        """The stream before each block, and all of one of them."""
        return self._bytes(section, shape, element, recomputed=True)

    @staticmethod
    def _bytes(section: VitSpec, shape: InputShape, element: int, *, recomputed: bool) -> int:
        patches, width, drops = section.patches(shape.pixels), section.width, section.dropout > 0.0
        windows = shape.channels * patches * (section.patch + 2) * (section.tokeniser == "sliding_window")
        tokens = patches + 1
        casts = 2 * element if element < FULL else 0
        left_out = 2 * (section.stochastic_depth > 0.0)
        of_token = width * (4 * FULL + casts + element * (5 + 8 + drops * (4 + 2) + left_out))
        attention = drops * (3 * FULL + element) * section.heads * tokens * tokens
        block = tokens * of_token + attention
        way_back = tokens * width * 12 * FULL + attention // 2
        blocks = block + section.layers * tokens * width * FULL if recomputed else section.layers * block
        kept = windows * element + tokens * width * 2 * FULL + blocks
        return max(4 * windows * FULL, kept + way_back)

    def likely_cause_of_collapse(self, section: VitSpec, fit: FitSpec) -> str | None:
        warms = fit.warmup_epochs > 0 or fit.schedule == "one_cycle"
        return None if warms else "a transformer without warm-up often learns nothing; set fit.warmup_epochs=2."


FAMILY = VitFamily()
