"""The network of a multi-layer perceptron."""

from itertools import pairwise

from torch import Tensor, nn

from spectral_search.models.families.mlp import MlpSpec
from spectral_search.models.layers import activation, feature_norm, initialise, to_prediction
from spectral_search.models.stochastic_depth import StochasticDepth, depth_of
from spectral_search.spec.family import InputShape


class HiddenLayer(nn.Module):
    """Linear - norm - activation - dropout, plus its input when residual."""

    def __init__(
        self, spec: MlpSpec, inputs: int, width: int, normed: bool, depth: StochasticDepth | None = None
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = feature_norm(spec.norm if normed else "none", width)
        self.act = activation(spec.activation)
        self.drop, self.depth = nn.Dropout(spec.dropout), depth
        self.skip: nn.Module | None = None
        if spec.residual:
            self.skip = nn.Identity() if inputs == width else nn.Linear(inputs, width, bias=False)

    def forward(self, x_BF: Tensor) -> Tensor:
        """Map (B, inputs) to (B, width)."""
        h_BF: Tensor = self.drop(self.act(self.norm(self.linear(x_BF))))
        if self.depth is not None:
            h_BF = self.depth(h_BF)
        return h_BF if self.skip is None else h_BF + self.skip(x_BF)


class Mlp(nn.Module):
    """Hidden layers over all pixels of all channels, and a linear head."""

    def __init__(self, spec: MlpSpec, shape: InputShape) -> None:
        super().__init__()
        self.spec = spec
        widths, p = [shape.pixels * shape.channels, *spec.hidden], spec.stochastic_depth
        self.layers = nn.Sequential(
            *(
                HiddenLayer(spec, inputs, width, spec.is_normed(index), depth_of(p, index, len(spec.hidden)))
                for index, (inputs, width) in enumerate(pairwise(widths))
            )
        )
        self.head = nn.Linear(widths[-1], 1)
        initialise(self, spec.init)

    @property
    def hidden_layers(self) -> list[HiddenLayer]:
        return [layer for layer in self.layers if isinstance(layer, HiddenLayer)]

    def forward(self, x_BCL: Tensor) -> Tensor:
        """Map (B, C, L) to the standardised target (B,)."""
        return to_prediction(self.head(self.layers(x_BCL.flatten(1))))
