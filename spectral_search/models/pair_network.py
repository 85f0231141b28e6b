"""A comparison of two images by one encoder: both networks of pairs are this with encoders of their own.

Shape letters: B batch, C channels, H rows, W columns, L = H x W pixels, F features of an image.
"""

import torch
from torch import Tensor, nn

from spectral_search.models.layers import mlp_head, to_prediction
from spectral_search.models.pair_section import IMAGES, MIXED, PairSection, fused_features
from spectral_search.spec.family import InputShape
from spectral_search.spec.model_section import Activation


class Fuse(nn.Module):
    """Two vectors of features as one, see `PairSection.fusion`."""

    def __init__(self, section: PairSection) -> None:
        super().__init__()
        self.kind = section.fusion
        if self.kind == "learned":
            self.weight = nn.Parameter(torch.zeros(MIXED))
        if self.kind == "gated":
            self.gate = nn.Linear(2 * section.feat_dim, section.feat_dim)

    def forward(self, a_BF: Tensor, b_BF: Tensor) -> Tensor:
        """Map two of (B, F) to what the head reads."""
        if self.kind == "concat":
            return torch.cat([a_BF, b_BF], 1)
        apart_BF, product_BF = (a_BF - b_BF).abs(), a_BF * b_BF
        match self.kind:
            case "difference":
                return apart_BF
            case "product":
                return product_BF
            case "both":
                return torch.cat([apart_BF, product_BF], 1)
            case "gated":
                open_BF = torch.sigmoid(self.gate(torch.cat([a_BF, b_BF], 1)))
                return open_BF * apart_BF + (1.0 - open_BF) * product_BF
            case "learned":
                parts = torch.stack([a_BF + b_BF, apart_BF, product_BF])
                return torch.einsum("p,pbf->bf", torch.softmax(self.weight, 0).to(parts.dtype), parts)
        # Each of the three is the same for (b, a), to the last bit.
        return torch.cat([a_BF + b_BF, apart_BF, product_BF], 1)


class PairNetwork(nn.Module):
    """Features of both images by one encoder, their fusion, and a head that gives a logit.

    Args:
        encoder: Maps (B, C / 2, H, W) to (B, F).
        section: Of the comparison.
        shape: Of a pair.
        activation: Of the head.
    """

    def __init__(self, encoder: nn.Module, section: PairSection, shape: InputShape, activation: Activation) -> None:
        super().__init__()
        self.encoder, self.height = encoder, shape.height
        self.fuse = Fuse(section)
        self.head = mlp_head(fused_features(section), section.head, activation, section.dropout)

    def forward(self, x_BCL: Tensor, pair_Q2: Tensor | None = None) -> Tensor:
        """Map (B, C, L) to logits (B,), or to (Q,).

        Args:
            x_BCL: Pairs.
            pair_Q2: Which two images to compare, where not those of each pair: places among all first images, then all
                second ones. Each is encoded once, however many it is compared with.
        """
        images = x_BCL.unflatten(2, (self.height, -1)).chunk(IMAGES, 1)
        if pair_Q2 is not None:
            features_IF = self.encoder(torch.cat(images))
            a_BF, b_BF = (features_IF.index_select(0, place_Q) for place_Q in pair_Q2.unbind(1))
        elif self.training:
            # As one batch: the norm's statistics are of both, and larger products are faster.
            a_BF, b_BF = self.encoder(torch.cat(images)).chunk(IMAGES)
        else:
            # Each in the same place of a batch of its own: what a kernel makes of an image may depend on its place.
            a_BF, b_BF = (self.encoder(image_BCHW.contiguous()) for image_BCHW in images)
        return to_prediction(self.head(self.fuse(a_BF, b_BF)))
