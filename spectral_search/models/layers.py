"""Pieces that the networks share: activations, convolutions, norms, heads, initialisation.

Convolutional features are x_BC1L, images one pixel high, in torch's channels-last memory format: the kernels for it are
about twice as fast as those for Conv1d, the numbers the same.

Shape letters: B batch, C channels, L pixels, F features.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from spectral_search.spec.model_section import Activation, Init, Norm

_MAX_GROUPS = 8
# Few values normalised together keep little but their signs: two become +1 and -1 whatever they were.
_MIN_GROUP_SIZE = 8


def activation(name: Activation) -> nn.Module:
    """The activation of that name."""
    match name:
        case "relu":
            return nn.ReLU()
        case "gelu":
            return nn.GELU()
        case "silu":
            return nn.SiLU()
        case "elu":
            return nn.ELU()
        case "tanh":
            return nn.Tanh()


def group_count(channels: int) -> int:
    """Largest group count up to _MAX_GROUPS that divides the channels and leaves _MIN_GROUP_SIZE or more in a group."""
    fitting = [g for g in range(1, _MAX_GROUPS + 1) if channels % g == 0 and channels // g >= _MIN_GROUP_SIZE]
    return max(fitting, default=1)


def feature_norm(name: Norm, features: int) -> nn.Module:
    """The norm of that name over x_BF."""
    match name:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm1d(features)
        case "layer":
            return nn.LayerNorm(features)
        case "group":
            return nn.GroupNorm(group_count(features), features)


def same_conv(inputs: int, outputs: int, kernel: int, dilation: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution along the pixels whose zero padding keeps ceil(L / stride) pixels."""
    padding = (0, dilation * (kernel // 2))
    return nn.Conv2d(inputs, outputs, (1, kernel), padding=padding, dilation=(1, dilation), stride=(1, stride))


def to_channels_last(x_BC1L: Tensor) -> Tensor:
    """The same numbers, channels innermost in memory.

    Called after the first convolution, not before: with one channel both formats look alike to torch, and the
    convolutions that follow would take the slow one. Spelt with movedim because vmap knows no memory formats.
    """
    return x_BC1L.movedim(1, -1).contiguous().movedim(-1, 1)


def channels_last(module: nn.Module) -> None:
    """Lay a network's convolution weights out as its activations are, so that no step has to turn them round first."""
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's own stubs know it of tensors only


def channel_norm(name: Norm, channels: int) -> nn.Module:
    """The norm of that name over x_BC1L; "layer" normalises each example over channels and pixels together."""
    match name:
        case "none":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "group":
            return nn.GroupNorm(group_count(channels), channels)


def mlp_head(
    features: int,
    hidden: list[int],
    act: Activation,
    dropout: float,
    outputs: int = 1,
    drops: Callable[[float], nn.Module] = nn.Dropout,
) -> nn.Sequential:
    """Linear - activation - dropout for each hidden width, then Linear to the outputs."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(features, width), activation(act), drops(dropout)]
        features = width
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def to_prediction(y_B1: Tensor) -> Tensor:
    """Drop the last axis and leave half precision, so that the loss is taken in float32 under autocast."""
    return y_B1.squeeze(-1).to(torch.promote_types(y_B1.dtype, torch.float32))


def initialise(module: nn.Module, init: Init) -> None:
    """Draw Linear and convolution weights anew from torch's default generator; "default" keeps torch's own draw.

    xavier is Glorot and Bengio (2010), kaiming He et al. (2015) for the fan-in of a rectifier. Biases become zero.
    """
    if init == "default":
        return
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            if init == "xavier":
                nn.init.xavier_uniform_(part.weight)
            else:
                nn.init.kaiming_uniform_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
