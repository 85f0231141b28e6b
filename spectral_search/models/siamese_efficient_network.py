"""Siamese networks of inverted residuals with squeeze and excitation, after EfficientNet-B0.

Shape letters: B batch, C channels, H rows, W columns, F features of an image.
"""

import torch
from torch import Tensor, nn

from spectral_search.models.families.siamese_efficient import (
    STEM_KERNEL,
    Inverted,
    SiameseEfficientSpec,
    inverted_blocks,
)
from spectral_search.models.layers import channel_norm, channels_last, to_channels_last
from spectral_search.models.pair_network import PairNetwork
from spectral_search.models.pair_section import image_shape
from spectral_search.spec.family import InputShape


class SqueezeExcite(nn.Module):
    """Each channel times what a small MLP makes of the means of all (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Linear(channels, squeezed), nn.SiLU(), nn.Linear(squeezed, channels))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x_BCHW * torch.sigmoid(self.weigh(x_BCHW.mean((2, 3))))[:, :, None, None]


class InvertedResidual(nn.Module):
    """Expansion, convolution of each channel by itself, squeeze and excitation, projection; plus the input."""

    def __init__(self, spec: SiameseEfficientSpec, block: Inverted) -> None:
        super().__init__()
        inner = block.inner
        self.expand = _conv_norm(spec, block.inputs, inner, 1, act=True) if block.expands else nn.Identity()
        self.depthwise = _conv_norm(spec, inner, inner, spec.kernel_size, block.stride, groups=inner, act=True)
        self.excite = SqueezeExcite(inner, block.squeezed)
        self.project = _conv_norm(spec, inner, block.outputs, 1)
        self.adds = block.adds

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        h_BCHW: Tensor = self.project(self.excite(self.depthwise(self.expand(x_BCHW))))
        return h_BCHW + x_BCHW if self.adds else h_BCHW


class EfficientEncoder(nn.Module):
    """Stem, inverted residuals, a convolution to the features and the mean over all pixels."""

    def __init__(self, spec: SiameseEfficientSpec, shape: InputShape) -> None:
        super().__init__()
        found = list(inverted_blocks(spec, shape))
        self.stem = _conv_norm(spec, shape.channels, spec.scaled(spec.stem_channels), STEM_KERNEL, act=True)
        self.blocks = nn.Sequential(*(InvertedResidual(spec, block) for block in found))
        self.features = _conv_norm(spec, found[-1].outputs, spec.feat_dim, 1, act=True)
        channels_last(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, F)."""
        features_BFHW: Tensor = self.features(self.blocks(to_channels_last(self.stem(x_BCHW))))
        return features_BFHW.mean((2, 3))


def _conv_norm(
    spec: SiameseEfficientSpec,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    act: bool = False,
) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, its norm, and SiLU where that is asked for."""
    # A norm takes away what a bias would add, and brings its own.
    bias = spec.norm == "none"
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=bias)
    return nn.Sequential(conv, channel_norm(spec.norm, outputs), *([nn.SiLU()] if act else []))


class SiameseEfficient(PairNetwork):
    """One encoder of inverted residuals for both images."""

    def __init__(self, spec: SiameseEfficientSpec, shape: InputShape) -> None:
        super().__init__(EfficientEncoder(spec, image_shape(shape)), spec, shape, "silu")
