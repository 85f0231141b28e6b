"""The networks of MVP-CNN-1 and MVP-CNN-2, residual, dilated convolutions."""

import torch
from torch import Tensor, nn

from spectral_search.models.families.res_cnn import ResCnnSpec, split_channels
from spectral_search.models.layers import (
    activation,
    channel_norm,
    initialise,
    mlp_head,
    same_conv,
    to_channels_last,
    to_prediction,
)
from spectral_search.models.stochastic_depth import StochasticDepth, depth_of
from spectral_search.spec.family import InputShape


class ParallelConv(nn.Module):
    """Convolutions of several widths side by side, concatenated over channels."""

    def __init__(self, inputs: int, outputs: int, kernels: list[int]) -> None:
        super().__init__()
        widths = split_channels(outputs, len(kernels))
        self.convs = nn.ModuleList(same_conv(inputs, w, k) for w, k in zip(widths, kernels, strict=True))

    def forward(self, x_BC1L: Tensor) -> Tensor:
        """Map (B, inputs, 1, L) to (B, outputs, 1, L)."""
        return torch.cat([conv(x_BC1L) for conv in self.convs], dim=1)


class ResBlock(nn.Module):
    """Convolution - activation - norm - dilated convolution - activation, plus its input."""

    def __init__(self, spec: ResCnnSpec, inputs: int, dilation: int, depth: StochasticDepth | None = None) -> None:
        super().__init__()
        width = spec.channels
        self.first: nn.Module = (
            ParallelConv(inputs, width, spec.parallel_kernels)
            if spec.parallel_kernels
            else same_conv(inputs, width, spec.kernel_size)
        )
        self.norm = channel_norm(spec.norm, width)
        self.second = same_conv(width, width, spec.kernel_size, dilation)
        self.act = activation(spec.activation)
        self.depth = depth
        self.skip = nn.Identity() if inputs == width else nn.Conv2d(inputs, width, 1, bias=False)

    def forward(self, x_BC1L: Tensor) -> Tensor:
        """Map (B, inputs, 1, L) to (B, channels, 1, L)."""
        h_BC1L = self.norm(self.act(self.first(x_BC1L)))
        branch_BC1L = self.act(self.second(h_BC1L))
        if self.depth is not None:
            branch_BC1L = self.depth(branch_BC1L)
        output_BC1L: Tensor = branch_BC1L + self.skip(x_BC1L)
        return output_BC1L


class ResCnn(nn.Module):
    """Stem, residual blocks at full resolution, the mean over all pixels, and an MLP head with dropout."""

    def __init__(self, spec: ResCnnSpec, shape: InputShape) -> None:
        super().__init__()
        self.stem = same_conv(shape.channels, spec.stem_channels, spec.stem_kernel_size, stride=spec.stem_stride)
        inputs = [spec.stem_channels] + [spec.channels] * (spec.blocks - 1)
        dilations = spec.dilations if len(spec.dilations) > 1 else spec.dilations * spec.blocks
        depths = [depth_of(spec.stochastic_depth, block, spec.blocks) for block in range(spec.blocks)]
        self.blocks = nn.Sequential(
            *(ResBlock(spec, *settings) for settings in zip(inputs, dilations, depths, strict=True))
        )
        self.head = mlp_head(spec.channels, spec.head, spec.activation, spec.dropout)
        initialise(self, spec.init)

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, L) to the standardised target (B,)."""
        stem_BC1L = to_channels_last(self.stem(x_BCL.unsqueeze(2)))
        return to_prediction(self.head(self.blocks(stem_BC1L).mean((2, 3))))
