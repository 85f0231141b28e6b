"""Siamese residual CNNs with channel and spatial attention.

Shape letters: B batch, C channels, H rows, W columns, F features of an image.
"""

import torch
from torch import Tensor, nn

from spectral_search.models.families.siamese_cnn import KERNEL, SPATIAL_KERNEL, Block, SiameseCnnSpec, blocks
from spectral_search.models.layers import activation, channel_norm, channels_last, to_channels_last
from spectral_search.models.pair_network import PairNetwork
from spectral_search.models.pair_section import image_shape
from spectral_search.spec.family import InputShape


class ChannelAttention(nn.Module):
    """Each channel times what an MLP makes of the channels' means and of their maxima (Woo et al. 2018)."""

    def __init__(self, spec: SiameseCnnSpec, channels: int) -> None:
        super().__init__()
        hidden = spec.hidden(channels)
        self.weigh = nn.Sequential(
            nn.Linear(channels, hidden), activation(spec.activation), nn.Linear(hidden, channels)
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        weight_BC = torch.sigmoid(self.weigh(x_BCHW.mean((2, 3))) + self.weigh(x_BCHW.amax((2, 3))))
        return x_BCHW * weight_BC[:, :, None, None]


class SpatialAttention(nn.Module):
    """Each place times what a convolution makes of the mean and the maximum over its channels (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        seen_B2HW = torch.cat([x_BCHW.mean(1, keepdim=True), x_BCHW.amax(1, keepdim=True)], 1)
        return x_BCHW * torch.sigmoid(self.weigh(seen_B2HW))


class ImageBlock(nn.Module):
    """Convolution - norm - activation - convolution - norm - attention, plus the input; then the activation."""

    def __init__(self, spec: SiameseCnnSpec, block: Block) -> None:
        super().__init__()
        inputs, outputs = block.inputs, block.outputs
        self.first = _normed_conv(spec, inputs, outputs, KERNEL, block.stride)
        self.second = _normed_conv(spec, outputs, outputs, KERNEL)
        attention: list[nn.Module] = []
        if spec.attention in ("channel", "both"):
            attention.append(ChannelAttention(spec, outputs))
        if spec.attention in ("spatial", "both"):
            attention.append(SpatialAttention())
        self.attention = nn.Sequential(*attention)
        self.skip = _normed_conv(spec, inputs, outputs, 1, block.stride) if block.projects else nn.Identity()
        self.act = activation(spec.activation)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        h_BCHW = self.attention(self.second(self.act(self.first(x_BCHW))))
        output_BCHW: Tensor = self.act(h_BCHW + self.skip(x_BCHW))
        return output_BCHW


class ResidualEncoder(nn.Module):
    """Stem, residual blocks, the mean over all pixels and a linear layer."""

    def __init__(self, spec: SiameseCnnSpec, shape: InputShape) -> None:
        super().__init__()
        stem, found = spec.scaled(spec.width), list(blocks(spec, shape))
        self.stem = _normed_conv(spec, shape.channels, stem, KERNEL, spec.stem_stride)
        self.act = activation(spec.activation)
        self.blocks = nn.Sequential(*(ImageBlock(spec, block) for block in found))
        self.features = nn.Linear(found[-1].outputs, spec.feat_dim)
        channels_last(self)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, F)."""
        stem_BCHW = to_channels_last(self.act(self.stem(x_BCHW)))
        features_BF: Tensor = self.features(self.blocks(stem_BCHW).mean((2, 3)))
        return features_BF


def _normed_conv(spec: SiameseCnnSpec, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, and its norm, which brings the bias where there is one."""
    bias = spec.norm == "none"
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
    return nn.Sequential(conv, channel_norm(spec.norm, outputs))


class SiameseCnn(PairNetwork):
    """One residual encoder for both images."""

    def __init__(self, spec: SiameseCnnSpec, shape: InputShape) -> None:
        super().__init__(ResidualEncoder(spec, image_shape(shape)), spec, shape, spec.activation)
