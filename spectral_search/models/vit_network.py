"""A transformer over patches of pixels, after ViT (Dosovitskiy et al. 2021).

Shape letters: B batch, C channels, L pixels, P pixels of a patch, T tokens (patches and the class token), D width,
H heads.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spectral_search.models.families.vit import VitSpec
from spectral_search.models.layers import to_prediction
from spectral_search.models.stochastic_depth import StochasticDepth, depth_of
from spectral_search.spec.family import InputShape

_FEEDFORWARD_RATIO = 4
_WEIGHT_STD = 0.02
_LEAST_SPREAD = 0.1
"""Added to the spread of a window in quadrature: one that holds hardly anything is not blown up."""


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and feed-forward, each added to its input."""

    def __init__(self, spec: VitSpec, depth: StochasticDepth | None = None) -> None:
        super().__init__()
        self.depth = depth
        width, hidden = spec.width, _FEEDFORWARD_RATIO * spec.width
        self.heads = spec.heads
        self.attention_dropout = spec.dropout
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.norm_feedforward = nn.LayerNorm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(spec.dropout), nn.Linear(hidden, width)
        )
        self.drop = nn.Dropout(spec.dropout)

    def attend(self, x_BTD: Tensor) -> Tensor:
        """Multi-head self-attention, (B, T, D) to (B, T, D)."""
        qkv_BTD = self.qkv(x_BTD).unflatten(-1, (3, self.heads, -1))
        q_BHTD, k_BHTD, v_BHTD = qkv_BTD.permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.attention_dropout if self.training else 0.0
        mixed_BHTD = F.scaled_dot_product_attention(q_BHTD, k_BHTD, v_BHTD, dropout_p=dropout)
        projected_BTD: Tensor = self.project(mixed_BHTD.transpose(1, 2).flatten(2))
        return projected_BTD

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        x_BTD = x_BTD + self._kept(self.drop(self.attend(self.norm_attention(x_BTD))))
        x_BTD = x_BTD + self._kept(self.drop(self.feedforward(self.norm_feedforward(x_BTD))))
        return x_BTD

    def _kept(self, branch_BTD: Tensor) -> Tensor:
        return branch_BTD if self.depth is None else self.depth(branch_BTD)


class NormalisedWindows(nn.Module):
    """Windows that overlap, each brought to mean 0 and spread 1, mapped to tokens together with both.

    The norm keeps windows with strong features or a high level from drowning the others; mean and spread beside it
    keep what it takes away, for the level of a window says as much as its features.
    """

    def __init__(self, spec: VitSpec, channels: int) -> None:
        super().__init__()
        self.patch, self.step = spec.patch, spec.step
        self.map = nn.Linear(channels * (spec.patch + 2), spec.width)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, L) to (B, T, D); statistics are taken in float32 also under autocast."""
        windows_BTCP = x_BCL.float().unfold(-1, self.patch, self.step).transpose(1, 2)
        mean_BTC1 = windows_BTCP.mean(-1, keepdim=True)
        centred_BTCP = windows_BTCP - mean_BTC1
        spread_BTC1 = (centred_BTCP.square().mean(-1, keepdim=True) + _LEAST_SPREAD**2).sqrt()
        features_BTCP = torch.cat([centred_BTCP / spread_BTC1, mean_BTC1, spread_BTC1], -1)
        tokens_BTD: Tensor = self.map(features_BTCP.flatten(2))
        return tokens_BTD


class ConvPatches(nn.Conv1d):
    """Patches mapped to tokens as they are, (B, C, L) to (B, T, D)."""

    def __init__(self, spec: VitSpec, channels: int) -> None:
        super().__init__(channels, spec.width, spec.patch, stride=spec.step)

    def forward(self, x_BCL: Tensor) -> Tensor:
        return super().forward(x_BCL).transpose(1, 2)


_TOKENISERS: dict[str, type[ConvPatches] | type[NormalisedWindows]] = {
    "conv": ConvPatches,
    "sliding_window": NormalisedWindows,
}


class Vit(nn.Module):
    """Patches, class token, learned positions, encoder, and a pooled head on the class token.

    The head is Linear - tanh - Linear, the pooler of the usual ViT implementations: with it, and only with it, the
    published 4.88 million parameters come out (4,875,521 at 4096 pixels).
    """

    def __init__(self, spec: VitSpec, shape: InputShape) -> None:
        super().__init__()
        width, patches = spec.width, spec.patches(shape.pixels)
        # Zeros, the mean of a standardised pixel, fill the last patch: no pixel is lost when the patch does not divide.
        self.padding = (patches - 1) * spec.step + spec.patch - shape.pixels
        # Either keeps torch's own first weights, which go by the pixels of a patch.
        self.embed = _TOKENISERS[spec.tokeniser](spec, shape.channels)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, patches + 1, width))
        self.drop = nn.Dropout(spec.dropout)
        depths = [depth_of(spec.stochastic_depth, layer, spec.layers) for layer in range(spec.layers)]
        self.blocks = nn.Sequential(*(EncoderBlock(spec, depth) for depth in depths))
        self.norm = nn.LayerNorm(width)
        self.pooler = nn.Linear(width, width)
        self.head = nn.Linear(width, 1)
        self._initialise()

    def _initialise(self) -> None:
        tokeniser = set(self.embed.modules())
        for part in self.modules():
            if isinstance(part, nn.Linear) and part not in tokeniser:
                nn.init.trunc_normal_(part.weight, std=_WEIGHT_STD)
                nn.init.zeros_(part.bias)
        nn.init.trunc_normal_(self.class_token, std=_WEIGHT_STD)
        nn.init.trunc_normal_(self.positions, std=_WEIGHT_STD)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, L) to the standardised target (B,)."""
        patches_BTD = self.embed(F.pad(x_BCL, (0, self.padding)))
        class_B1D = self.class_token.expand(len(x_BCL), -1, -1).to(patches_BTD.dtype)
        tokens_BTD = self.drop(torch.cat([class_B1D, patches_BTD], dim=1) + self.positions)
        class_BD = self.norm(self.blocks(tokens_BTD)[:, 0])
        return to_prediction(self.head(torch.tanh(self.pooler(class_BD))))
