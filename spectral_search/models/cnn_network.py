"""The network of the published convolutional stages."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from spectral_search.models.families.cnn import CnnSpec
from spectral_search.models.layers import (
    activation,
    channel_norm,
    initialise,
    mlp_head,
    same_conv,
    to_channels_last,
    to_prediction,
)
from spectral_search.spec.family import InputShape

# max(f(a), f(b)) = f(max(a, b)) for a rising f: pooling first gives the same numbers with fewer activations.
_RISING = frozenset({"relu", "elu", "tanh"})


class ConvLayer(nn.Module):
    """Same-length convolution - norm - activation - MaxPool."""

    def __init__(self, spec: CnnSpec, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = same_conv(inputs, outputs, spec.kernel_size)
        self.norm = channel_norm(spec.norm, outputs)
        self.act = activation(spec.activation)
        self.pool = nn.MaxPool2d((1, spec.pool)) if spec.pool > 1 else nn.Identity()
        self.pool_first = spec.activation in _RISING

    def forward(self, x_BC1L: Tensor) -> Tensor:
        """Map (B, inputs, 1, L) to (B, outputs, 1, L // pool)."""
        h_BC1L: Tensor = self.norm(to_channels_last(self.conv(x_BC1L)))
        h_BC1L = self.act(self.pool(h_BC1L)) if self.pool_first else self.pool(self.act(h_BC1L))
        return h_BC1L


class Cnn(nn.Module):
    """Convolution layers, means over `average_to` parts of the pixels that are left, an MLP head with dropout."""

    def __init__(self, spec: CnnSpec, shape: InputShape, outputs: int = 1) -> None:
        super().__init__()
        widths = [shape.channels, *spec.channels]
        self.layers = nn.Sequential(*(ConvLayer(spec, inputs, width) for inputs, width in pairwise(widths)))
        self.average_to = spec.average_to
        self.head = mlp_head(widths[-1] * spec.average_to, spec.head, spec.activation, spec.dropout, outputs)
        initialise(self, spec.init)

    def outputs(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, L) to (B, outputs)."""
        h_BC1L: Tensor = self.layers(x_BCL.unsqueeze(2))
        if self.average_to == 1:
            h_BF = h_BC1L.mean((2, 3))
        else:
            h_BF = adaptive_avg_pool2d(h_BC1L, (1, self.average_to)).flatten(1)
        output_BK: Tensor = self.head(h_BF)
        return output_BK

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, L) to the standardised target (B,)."""
        return to_prediction(self.outputs(x_BCL))
