"""Attention over time and over rows in turns: its section of a spec, its numbers, and where its network lies.

Shape letters: T values of a row (steps of time), S rows, D width, H heads.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from spectral_search.models.families.shared_mlp import answers_of_row, uneven_faults
from spectral_search.models.layer_numbers import FULL, linear_parameters
from spectral_search.spec.base import linked_fault
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.model_section import MOST_LAYERS, ModelSection, Probability, Width

MAX_RELATIVE = 12
"""Steps beyond which relative positions are told apart no more."""
CROSS_HEADS = 4
"""Of the cross attention that fuses two streams."""
Depth = Annotated[int, Field(ge=1, le=MOST_LAYERS)]


class SpaceTimeAttentionSpec(ModelSection):
    """Two stages; each lets every row attend to its own time, then the rows to each other at each time, and fuses both.

    Rows are what the input's `height` says, such as sensors; the stream of time and that of rows are fused by a gate
    between them (gated), a linear map of both (concat), attention of the first to the second (cross_attn), the second
    added by a gate (gated_residual) or by learnt weights (adaptive). With `adjacency` half of the heads look mostly at
    rows that the data say are near. `anchor` adds the last value of the first channel to a row's answers. `dropout` is
    of what blocks add; `attention_dropout`, of who looks at whom, makes attention keep the matrices of all pairs.
    """

    kind: Literal["space_time_attention"]
    embed_dim: Width = 96
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    temporal_depth_1: Depth = 2
    spatial_depth_1: Depth = 2
    temporal_depth_2: Depth = 2
    spatial_depth_2: Depth = 2
    feedforward: Annotated[int, Field(ge=1, le=8)] = 2
    fusion: Literal["gated", "concat", "cross_attn", "gated_residual", "adaptive"] = "gated"
    positions: Literal["fixed", "learned", "relative", "rotary"] = "fixed"
    adjacency: Literal["none", "bias"] = "none"
    anchor: bool = False
    dropout: Probability = 0.0
    attention_dropout: Probability = 0.0
    stochastic_depth: Probability = 0.0

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "SpaceTimeAttentionSpec":
        shares = {self.heads, *([CROSS_HEADS] if self.fusion == "cross_attn" else [])}
        for heads in sorted(shares):
            if self.embed_dim % heads:
                message = f"embed_dim {self.embed_dim} does not divide into {heads} heads; make it a multiple"
                raise linked_fault(message, "model.embed_dim", "model.heads", "model.fusion")
        if self.positions == "rotary" and (self.embed_dim // self.heads) % 2:
            message = (
                f"rotary positions turn pairs, and a head of {self.embed_dim // self.heads} numbers is odd; make "
                f"embed_dim a multiple of {2 * self.heads}"
            )
            raise linked_fault(message, "model.embed_dim", "model.heads", "model.positions")
        if self.positions == "fixed" and self.embed_dim % 2:
            message = (
                f"fixed positions are pairs of sine and cosine, and embed_dim {self.embed_dim} is odd; make it even"
            )
            raise linked_fault(message, "model.embed_dim", "model.positions")
        return self

    @property
    def temporal(self) -> int:
        """Blocks over time."""
        return self.temporal_depth_1 + self.temporal_depth_2

    @property
    def spatial(self) -> int:
        """Blocks over rows."""
        return self.spatial_depth_1 + self.spatial_depth_2


class SpaceTimeAttentionFamily(Family[SpaceTimeAttentionSpec]):
    """Lets rows look at their own past and at each other."""

    section = SpaceTimeAttentionSpec
    label = "Space-time attention"
    colour = Colour("#b3541e", "#f29a66")
    network = "spectral_search.models.space_time_network:SpaceTimeAttention"
    several_outputs = True
    high_lr = 5e-3
    make_smaller = "make model.embed_dim or the depths smaller"

    def input_faults(self, section: SpaceTimeAttentionSpec, shape: InputShape) -> list[str]:
        return uneven_faults(section.kind, shape)

    def parameters(self, section: SpaceTimeAttentionSpec, shape: InputShape) -> int:
        width, hidden = section.embed_dim, section.feedforward * section.embed_dim
        attention = linear_parameters(width, 3 * width) + linear_parameters(width, width)
        block = attention + linear_parameters(width, hidden) + linear_parameters(hidden, width) + 2 * 2 * width
        relative = section.heads * (2 * MAX_RELATIVE + 1) if section.positions == "relative" else 0
        learned = shape.width * width if section.positions == "learned" else 0
        embedding = linear_parameters(shape.channels, width) + shape.height * width + learned
        blocks = (section.temporal + section.spatial) * block + section.temporal * relative
        answers = answers_of_row(shape)
        head = 2 * width + linear_parameters(shape.width * width, width) + linear_parameters(width, answers)
        return embedding + blocks + 2 * self._fusion(section) + head

    def _fusion(self, section: SpaceTimeAttentionSpec) -> int:
        width = section.embed_dim
        both = linear_parameters(2 * width, width)
        match section.fusion:
            case "gated" | "concat":
                return both
            case "gated_residual":
                return both + linear_parameters(width, width)
            case "adaptive":
                return 2 * width
            case "cross_attn":
                return 2 * 2 * width + linear_parameters(width, 3 * width) + linear_parameters(width, width)

    def forward_operations(self, section: SpaceTimeAttentionSpec, shape: InputShape) -> int:
        width, tokens = section.embed_dim, shape.pixels
        blocks = (section.temporal + section.spatial) * (4 + 2 * section.feedforward) * width**2
        attention = 2 * width * (section.temporal * shape.width + section.spatial * shape.height)
        fused = {"adaptive": 0, "gated_residual": 3, "cross_attn": 4}.get(section.fusion, 2) * 2 * width**2
        head = width**2 + (width * answers_of_row(shape)) // shape.width
        return tokens * (blocks + attention + fused + shape.channels * width + head)

    def step_bytes(self, section: SpaceTimeAttentionSpec, shape: InputShape, element: int) -> int:
        """Of a block and a token: the stream and two norms in float32, qkv, attention, both feed-forward layers.

        Attention keeps no matrix of all pairs but where dropout or a learnt bias takes part in it.
        """
        width, tokens, drops = section.embed_dim, shape.pixels, section.dropout > 0.0
        pairs = section.attention_dropout > 0.0
        casts = 2 * element if element < FULL else 0
        numbers = 5 + 2 * section.feedforward + drops * (3 + section.feedforward)
        of_token = width * (4 * FULL + casts + element * numbers)
        pairs_time = section.temporal * (pairs or section.positions == "relative") * shape.width
        pairs_rows = section.spatial * pairs * shape.height
        matrices = tokens * section.heads * (3 * FULL + element) * (pairs_time + pairs_rows)
        kept = tokens * of_token * (section.temporal + section.spatial) + matrices
        fused = 2 * tokens * width * 5 * FULL
        return kept + fused + tokens * width * 10 * FULL

    def likely_cause_of_collapse(self, section: SpaceTimeAttentionSpec, fit: FitSpec) -> str | None:
        warms = fit.warmup_epochs > 0 or fit.schedule == "one_cycle"
        return None if warms else "attention without warm-up often learns nothing; set fit.warmup_epochs=1."


FAMILY = SpaceTimeAttentionFamily()
