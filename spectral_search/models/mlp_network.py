"""The network of a multi-layer perceptron."""

from itertools import pairwise

from torch import Tensor, nn

from spectral_search.models.families.mlp import MlpSpec
from spectral_search.models.layers import activation, feature_norm, initialise, to_prediction
from spectral_search.spec.family import InputShape


class HiddenLayer(nn.Module):
    """Linear - norm - activation - dropout, plus its input when residual."""

    def __init__(self, spec: MlpSpec, inputs: int, width: int, normed: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, width)
        self.norm = feature_norm(spec.norm if normed else "none", width)
        self.act = activation(spec.activation)
        self.drop = nn.Dropout(spec.dropout)
        self.skip: nn.Module | None = None
        if spec.residual:
            self.skip = nn.Identity() if inputs == width else nn.Linear(inputs, width, bias=False)

    def forward(self, x_BF: Tensor) -> Tensor:
        """Map (B, inputs) to (B, width)."""
        h_BF: Tensor = self.drop(self.act(self.norm(self.linear(x_BF))))
        return h_BF if self.skip is None else h_BF + self.skip(x_BF)


class Mlp(nn.Module):
    """Hidden layers over all pixels of all channels, and a linear head."""

    def __init__(self, spec: MlpSpec, shape: InputShape) -> None:
        super().__init__()
        self.spec = spec
        widths = [shape.pixels * shape.channels, *spec.hidden]
        self.layers = nn.Sequential(
            *(
                HiddenLayer(spec, inputs, width, normed=spec.is_normed(index))
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
