"""Attention over time and over rows in turns, two stages of it.

Shape letters: B batch, C channels, S rows, T steps of time, D width, H heads, d width of a head, A answers of a row;
N sequences of L tokens, whichever axis is attended over.
"""

import math
from itertools import islice
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectral_search.models.families.shared_mlp import answers_of_row
from spectral_search.models.families.space_time_attention import CROSS_HEADS, MAX_RELATIVE, SpaceTimeAttentionSpec
from spectral_search.models.residual_drop import Dropout, ResidualDrop
from spectral_search.models.row_answers import in_rows, to_outputs
from spectral_search.models.stochastic_depth import StochasticDepth, depth_of
from spectral_search.spec.family import InputShape

_WEIGHT_STD = 0.02
_FARTHEST = 0.01
"""How near rows count as that are not near at all: heads that look at neighbours see the others a hundredth as much."""

Depths = list[StochasticDepth | None]
"""Of the blocks of one axis in a stage."""


class RelativeBias(nn.Module):
    """What attention to a step so many steps away gains, learnt by head; beyond MAX_RELATIVE all are alike."""

    def __init__(self, heads: int, length: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(heads, 2 * MAX_RELATIVE + 1))
        nn.init.trunc_normal_(self.bias, std=_WEIGHT_STD)
        apart_LL = torch.arange(length) - torch.arange(length)[:, None]
        place_LL = apart_LL.clamp(-MAX_RELATIVE, MAX_RELATIVE) + MAX_RELATIVE
        self.register_buffer("place_LL", place_LL, persistent=False)

    def forward(self) -> Tensor:
        """(1, H, L, L)."""
        return self.bias[:, self.get_buffer("place_LL")].unsqueeze(0)


class Rotary(nn.Module):
    """Turns queries and keys by their step, pair by pair, so that products go by the steps between (Su et al. 2021)."""

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        rate_P = 10_000.0 ** (-torch.arange(0, width, 2) / width)
        angle_LP = torch.arange(length)[:, None] * rate_P
        # Not persistent: it follows from the spec, and files of weights need not hold it.
        self.register_buffer("cos_LP", angle_LP.cos(), persistent=False)
        self.register_buffer("sin_LP", angle_LP.sin(), persistent=False)

    def forward(self, x_NHLd: Tensor) -> Tensor:
        even, odd = x_NHLd[..., 0::2], x_NHLd[..., 1::2]
        cos_LP, sin_LP = (self.get_buffer(name).to(x_NHLd.dtype) for name in ("cos_LP", "sin_LP"))
        turned = torch.stack([even * cos_LP - odd * sin_LP, even * sin_LP + odd * cos_LP], dim=-1)
        return turned.flatten(-2)


class Block(nn.Module):
    """Pre-norm self-attention along an axis and feed-forward, each added to its input.

    Whichever axis it is lies third: steps of (B, S, T, D), rows of (B, T, S, D).
    """

    def __init__(
        self, spec: SpaceTimeAttentionSpec, over: Literal["time", "rows"], length: int, depth: StochasticDepth | None
    ) -> None:
        super().__init__()
        width, hidden = spec.embed_dim, spec.feedforward * spec.embed_dim
        self.heads, self.attention_dropout = spec.heads, spec.attention_dropout
        in_time = over == "time"
        self.relative = RelativeBias(spec.heads, length) if in_time and spec.positions == "relative" else None
        self.rotary = Rotary(width // spec.heads, length) if in_time and spec.positions == "rotary" else None
        self.norm_attention, self.norm_feedforward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), Dropout(spec.dropout), nn.Linear(hidden, width)
        )
        self.add = ResidualDrop(spec.dropout, depth)

    def attend(self, x_BALD: Tensor, near_1HLL: Tensor | None) -> Tensor:
        """Multi-head self-attention along the third axis."""
        q_NHLd, k_NHLd, v_NHLd = (
            self.qkv(x_BALD).flatten(0, 1).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        bias_1HLL = near_1HLL if self.relative is None else self.relative()
        if self.rotary is not None:
            q_NHLd, k_NHLd = self.rotary(q_NHLd), self.rotary(k_NHLd)
        mixed_NHLd = F.scaled_dot_product_attention(
            q_NHLd,
            k_NHLd,
            v_NHLd,
            # Torch takes a bias in the format of the queries alone, which autocast has chosen.
            attn_mask=None if bias_1HLL is None else bias_1HLL.to(q_NHLd.dtype),
            dropout_p=self.attention_dropout if self.training else 0.0,
        )
        mixed_BALD: Tensor = self.project(mixed_NHLd.transpose(1, 2).flatten(2)).unflatten(0, x_BALD.shape[:2])
        return mixed_BALD

    def forward(self, x_BALD: Tensor, near_1HLL: Tensor | None = None) -> Tensor:
        x_BALD = self.add(x_BALD, self.attend(self.norm_attention(x_BALD), near_1HLL))
        added: Tensor = self.add(x_BALD, self.feedforward(self.norm_feedforward(x_BALD)))
        return added


class Gated(nn.Module):
    """A gate between both streams, for each number of a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * width, width)

    def forward(self, time_BSTD: Tensor, rows_BSTD: Tensor) -> Tensor:
        gate_BSTD = torch.sigmoid(self.gate(torch.cat([time_BSTD, rows_BSTD], dim=-1)))
        # `torch.lerp` takes no mixture of formats, and under autocast the gate may have another than the streams.
        return torch.lerp(rows_BSTD, time_BSTD, gate_BSTD.to(time_BSTD.dtype))


class Concat(nn.Module):
    """A linear map of both streams."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(2 * width, width)

    def forward(self, time_BSTD: Tensor, rows_BSTD: Tensor) -> Tensor:
        mixed: Tensor = self.map(torch.cat([time_BSTD, rows_BSTD], dim=-1))
        return mixed


class GatedResidual(nn.Module):
    """The stream of rows, mapped, is added to that of time by a gate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate, self.map = nn.Linear(2 * width, width), nn.Linear(width, width)

    def forward(self, time_BSTD: Tensor, rows_BSTD: Tensor) -> Tensor:
        gate_BSTD = torch.sigmoid(self.gate(torch.cat([time_BSTD, rows_BSTD], dim=-1)))
        return time_BSTD + gate_BSTD * self.map(rows_BSTD)


class Adaptive(nn.Module):
    """Learnt weights of both streams, for each number of a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # At first the mean of both.
        self.weight_2D = nn.Parameter(torch.full((2, width), 0.5))

    def forward(self, time_BSTD: Tensor, rows_BSTD: Tensor) -> Tensor:
        return self.weight_2D[0] * time_BSTD + self.weight_2D[1] * rows_BSTD


class CrossAttention(nn.Module):
    """The stream of time attends, along each row, to that of rows."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm_time, self.norm_rows, self.dropout = nn.LayerNorm(width), nn.LayerNorm(width), dropout
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.project = nn.Linear(width, width)

    def forward(self, time_BSTD: Tensor, rows_BSTD: Tensor) -> Tensor:
        q_BSHTd = self.query(self.norm_time(time_BSTD)).unflatten(-1, (CROSS_HEADS, -1)).transpose(2, 3)
        pairs = self.key_value(self.norm_rows(rows_BSTD)).unflatten(-1, (2, CROSS_HEADS, -1))
        k_BSHTd, v_BSHTd = pairs.permute(3, 0, 1, 4, 2, 5).unbind(0)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(
            q_BSHTd.flatten(0, 1), k_BSHTd.flatten(0, 1), v_BSHTd.flatten(0, 1), dropout_p=dropout
        )
        mixed_BSTD = mixed.transpose(1, 2).flatten(2).unflatten(0, time_BSTD.shape[:2])
        added: Tensor = self.project(mixed_BSTD)
        return time_BSTD + added


def _fusion(spec: SpaceTimeAttentionSpec) -> nn.Module:
    """How a stage makes one stream of two."""
    match spec.fusion:
        case "gated":
            return Gated(spec.embed_dim)
        case "concat":
            return Concat(spec.embed_dim)
        case "cross_attn":
            return CrossAttention(spec.embed_dim, spec.dropout)
        case "gated_residual":
            return GatedResidual(spec.embed_dim)
        case "adaptive":
            return Adaptive(spec.embed_dim)


class Stage(nn.Module):
    """Blocks over time, blocks over rows on what comes of them, and both streams fused."""

    def __init__(self, spec: SpaceTimeAttentionSpec, shape: InputShape, temporal: Depths, spatial: Depths):
        super().__init__()
        self.temporal = nn.ModuleList(Block(spec, "time", shape.width, depth) for depth in temporal)
        self.spatial = nn.ModuleList(Block(spec, "rows", shape.height, depth) for depth in spatial)
        self.fusion = _fusion(spec)

    def forward(self, x_BSTD: Tensor, near_1HSS: Tensor | None) -> Tensor:
        time_BSTD = x_BSTD
        for block in self.temporal:
            time_BSTD = block(time_BSTD)
        rows_BTSD = time_BSTD.transpose(1, 2).contiguous()  # turned once a stage, not twice a block
        for block in self.spatial:
            rows_BTSD = block(rows_BTSD, near_1HSS)
        fused: Tensor = self.fusion(time_BSTD, rows_BTSD.transpose(1, 2))
        return fused


class Embedding(nn.Module):
    """Tokens of every row and step: what is read, where in time, of which row."""

    def __init__(self, spec: SpaceTimeAttentionSpec, shape: InputShape) -> None:
        super().__init__()
        width = spec.embed_dim
        self.read = nn.Linear(shape.channels, width)
        self.rows_SD = nn.Parameter(torch.empty(shape.height, width))
        self.steps_TD = nn.Parameter(torch.empty(shape.width, width)) if spec.positions == "learned" else None
        fixed_TD = _sine_positions(shape.width, width) if spec.positions == "fixed" else None
        self.register_buffer("fixed_TD", fixed_TD, persistent=False)
        for learnt in (self.rows_SD, self.steps_TD):
            if learnt is not None:
                nn.init.trunc_normal_(learnt, std=_WEIGHT_STD)

    def forward(self, x_BSTC: Tensor) -> Tensor:
        place_STD = self.rows_SD[:, None]
        steps_TD = self.steps_TD if self.steps_TD is not None else self.fixed_TD
        if isinstance(steps_TD, Tensor):
            place_STD = place_STD + steps_TD
        tokens: Tensor = self.read(x_BSTC) + place_STD
        return tokens


def _sine_positions(length: int, width: int) -> Tensor:
    """Sines and cosines of falling rates (Vaswani et al. 2017), (L, D)."""
    rate_P = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2) / width)
    angle_LP = torch.arange(length)[:, None] * rate_P
    return torch.stack([angle_LP.sin(), angle_LP.cos()], dim=-1).flatten(1)


class Encoder(nn.Module):
    """The tokens and the first stage."""

    def __init__(self, spec: SpaceTimeAttentionSpec, shape: InputShape, temporal: Depths, spatial: Depths):
        super().__init__()
        self.embedding, self.drop = Embedding(spec, shape), Dropout(spec.dropout)
        self.stage = Stage(spec, shape, temporal, spatial)

    def forward(self, x_BSTC: Tensor, near_1HSS: Tensor | None) -> Tensor:
        made: Tensor = self.stage(self.drop(self.embedding(x_BSTC)), near_1HSS)
        return made


class Head(nn.Module):
    """A row's steps side by side, to its answers."""

    def __init__(self, spec: SpaceTimeAttentionSpec, shape: InputShape) -> None:
        super().__init__()
        width = spec.embed_dim
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(shape.width * width, width)
        self.drop, self.answer = Dropout(spec.dropout), nn.Linear(width, answers_of_row(shape))

    def forward(self, x_BSTD: Tensor) -> Tensor:
        answer_BSA: Tensor = self.answer(self.drop(F.gelu(self.mix(self.norm(x_BSTD).flatten(2)))))
        return answer_BSA


class SpaceTimeAttention(nn.Module):
    """Encoder, decoder (the second stage) and head: the groups of parameters that recipes give rates of their own.

    The buffer `adjacency` is filled by who knows the data; at zeros, as built, no row is nearer than another.
    """

    def __init__(self, spec: SpaceTimeAttentionSpec, shape: InputShape) -> None:
        super().__init__()
        self.shape, self.anchor, self.heads = shape, spec.anchor, spec.heads
        blocks = spec.temporal + spec.spatial
        # One count through both stages, so that the probability grows up to the last block of the network.
        depths = (depth_of(spec.stochastic_depth, block, blocks) for block in range(blocks))
        cut = spec.temporal_depth_1, spec.spatial_depth_1, spec.temporal_depth_2, spec.spatial_depth_2
        shares: list[Depths] = [list(islice(depths, count)) for count in cut]
        self.encoder = Encoder(spec, shape, *shares[:2])
        self.decoder = Stage(spec, shape, *shares[2:])
        self.head = Head(spec, shape)
        if spec.adjacency == "bias":
            self.register_buffer("adjacency", torch.zeros(shape.height, shape.height))

    def _near(self) -> Tensor | None:
        """What attention of each head to each row gains, (1, H, S, S): of every other head by how near the row is.

        Torch's attention makes the matrices of all pairs where a bias has but three dimensions.
        """
        adjacency_SS = dict(self.named_buffers(recurse=False)).get("adjacency")
        if adjacency_SS is None:
            return None
        local_H = (torch.arange(self.heads, device=adjacency_SS.device) % 2 == 0).to(adjacency_SS.dtype)
        # A bias is added before the softmax, so that its exponential is what multiplies the weights.
        return local_H[None, :, None, None] * adjacency_SS.clamp(min=_FARTHEST).log()

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, S x T) to the standardised targets (B, O), or (B,)."""
        rows_BSCT, near_1HSS = in_rows(x_BCL, self.shape), self._near()
        x_BSTD = self.decoder(self.encoder(rows_BSCT.transpose(2, 3), near_1HSS), near_1HSS)
        return to_outputs(self.head(x_BSTD), self.shape, rows_BSCT[:, :, 0, -1] if self.anchor else None)
