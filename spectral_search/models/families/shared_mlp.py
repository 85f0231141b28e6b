"""The perceptron that all rows share: its section of a spec, its numbers, and where its network lies."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from spectral_search.models.layer_numbers import KEEPS_OUTPUT, head_parameters
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.model_section import MOST_LAYERS, Activation, ModelSection, Probability, Width

_UNEVEN = (
    "model.kind {kind} answers each of {height} rows by itself or all of them together, and {outputs} outputs are "
    "neither one nor a multiple of the rows; use another kind"
)


class SharedMlpSpec(ModelSection):
    """Linear - activation - dropout layers and a linear head, the same for every row of the input.

    `row_embedding` numbers that are learnt for each row are read beside it. `anchor` adds the last value of the first
    channel of a row to the answers for it, so that the network learns what changes.
    """

    kind: Literal["shared_mlp"]
    hidden: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [128, 64]
    activation: Activation = "relu"
    dropout: Probability = 0.0
    row_embedding: Annotated[int, Field(ge=0, le=1024)] = 0
    anchor: bool = False


class SharedMlpFamily(Family[SharedMlpSpec]):
    """Reads each row of all channels by itself."""

    section = SharedMlpSpec
    label = "Shared MLP"
    colour = Colour("#7a4fb5", "#b793ee")
    network = "spectral_search.models.shared_mlp_network:SharedMlp"
    several_outputs = True
    high_lr = 1e-2
    make_smaller = "make model.hidden smaller"

    def input_faults(self, section: SharedMlpSpec, shape: InputShape) -> list[str]:
        return uneven_faults(section.kind, shape)

    def _widths(self, section: SharedMlpSpec, shape: InputShape) -> list[int]:
        inputs = shape.channels * shape.width + section.row_embedding
        return [inputs, *section.hidden, answers_of_row(shape)]

    def parameters(self, section: SharedMlpSpec, shape: InputShape) -> int:
        inputs, *hidden, answers = self._widths(section, shape)
        return head_parameters(inputs, hidden, answers) + shape.height * section.row_embedding

    def forward_operations(self, section: SharedMlpSpec, shape: InputShape) -> int:
        widths = self._widths(section, shape)
        return shape.height * sum(low * high for low, high in pairwise(widths))

    def step_bytes(self, section: SharedMlpSpec, shape: InputShape, element: int) -> int:
        """Of a row: what it reads, put side by side; of a hidden layer, activation and dropout's factor and product."""
        numbers = 1 + (section.activation not in KEEPS_OUTPUT) + 2 * (section.dropout > 0.0)
        inputs, *hidden, answers = self._widths(section, shape)
        return shape.height * element * (2 * inputs + numbers * sum(hidden) + 2 * max(hidden) + 3 * answers)


def answers_of_row(shape: InputShape) -> int:
    """Numbers that a network gives for each row: its part of the outputs, or all where rows answer together."""
    return shape.outputs // shape.height if shape.outputs % shape.height == 0 else shape.outputs


def uneven_faults(kind: str, shape: InputShape) -> list[str]:
    """Why outputs cannot be shared out among rows, as a list of one sentence or none."""
    if shape.outputs == 1 or shape.outputs % shape.height == 0:
        return []
    return [_UNEVEN.format(kind=kind, height=shape.height, outputs=shape.outputs)]


FAMILY = SharedMlpFamily()
