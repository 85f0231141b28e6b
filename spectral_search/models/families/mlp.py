"""The multi-layer perceptron: its section of a spec, its numbers, and where its network and its stack lie."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spectral_search.models.layer_numbers import FULL, KEEPS_OUTPUT, head_parameters, norm_parameters
from spectral_search.spec.base import linked_fault
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.model_section import MOST_LAYERS, Activation, Init, ModelSection, Norm, Probability, Width

_MANY_PLAIN_LAYERS = 4


class MlpSpec(ModelSection):
    """Linear - norm - activation - dropout layers and a linear head.

    `residual` adds each hidden layer's input to its output (through a linear projection where widths differ); with
    `stochastic_depth` an example goes without that output at times, the deeper the layer the more often.
    """

    kind: Literal["mlp"]
    hidden: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [256, 64]
    activation: Activation = "relu"
    norm: Norm = "none"
    norm_layers: Literal["all", "first"] = "all"
    dropout: Probability = 0.0
    residual: bool = False
    stochastic_depth: Probability = 0.0
    init: Init = "default"

    @model_validator(mode="after")
    def _only_branches_are_left_out(self) -> "MlpSpec":
        if self.stochastic_depth > 0.0 and not self.residual:
            message = (
                f"stochastic_depth ({self.stochastic_depth:g}) leaves out what is added to a layer's input, and "
                "nothing is; set residual to true, or stochastic_depth to 0"
            )
            raise linked_fault(message, "model.stochastic_depth", "model.residual")
        return self

    def is_normed(self, layer: int) -> bool:
        """Whether a hidden layer, counted from 0, has a norm."""
        return self.norm != "none" and (layer == 0 or self.norm_layers == "all")

    @property
    def normed(self) -> list[int]:
        """Widths of the hidden layers with a norm."""
        return [width for layer, width in enumerate(self.hidden) if self.is_normed(layer)]


class MlpFamily(Family[MlpSpec]):
    """Reads all pixels of all channels at once, in whatever order they come."""

    section = MlpSpec
    label = "MLP"
    colour = Colour("#1c6cb0", "#6db3f2")
    network = "spectral_search.models.mlp_network:Mlp"
    stack = "spectral_search.models.mlp_stack:MlpStack"
    needs_neighbours = False
    high_lr = 1e-2
    make_smaller = "make model.hidden smaller"

    def input_faults(self, section: MlpSpec, shape: InputShape) -> list[str]:
        # Normalising over one unit turns every activation into the same constant: the network would never learn.
        if section.norm in ("layer", "group") and 1 in section.normed:
            return [f"model.norm '{section.norm}' over a hidden layer of width 1 is constant; use a width of 2 or more"]
        return []

    def parameters(self, section: MlpSpec, shape: InputShape) -> int:
        inputs = shape.pixels * shape.channels
        total = head_parameters(inputs, section.hidden)
        total += sum(norm_parameters(section.norm, width) for width in section.normed)
        if section.residual:
            total += sum(i * o for i, o in pairwise([inputs, *section.hidden]) if i != o)
        return total

    def forward_operations(self, section: MlpSpec, shape: InputShape) -> int:
        return sum(low * high for low, high in pairwise([shape.pixels * shape.channels, *section.hidden, 1]))

    def step_bytes(self, section: MlpSpec, shape: InputShape, element: int) -> int:
        """Of a hidden layer: activation, norm in float32, dropout's factor and product, skip."""
        drops = (section.dropout > 0.0) + (section.stochastic_depth > 0.0)
        numbers = 1 + (section.activation not in KEEPS_OUTPUT) + 2 * drops + section.residual
        kept = element * numbers * sum(section.hidden) + 3 * FULL * sum(section.normed)
        return kept + 2 * max(section.hidden) * element

    def stacked_units(self, section: MlpSpec) -> int:
        return sum(section.hidden)

    def likely_cause_of_collapse(self, section: MlpSpec, fit: FitSpec) -> str | None:
        if len(section.hidden) >= _MANY_PLAIN_LAYERS and section.norm == "none" and not section.residual:
            return f"{len(section.hidden)} plain layers are hard to train; set model.residual=true."
        return None


FAMILY = MlpFamily()
