"""The mixture of CNN experts: its section of a spec, its numbers, and where its networks lie."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from spectral_search.models.families.cnn import FAMILY as CNN
from spectral_search.models.families.cnn import NEEDS_A_NORM, CnnSpec, kept_and_way_back_bytes
from spectral_search.spec.family import Colour, Family, InputShape
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.model_section import (
    MOST_LAYERS,
    Activation,
    Init,
    ModelSection,
    Norm,
    Probability,
    Width,
    odd,
)


class MoeCnnSpec(ModelSection):
    """One CNN expert for each bin of the labels, chosen by the true bin (oracle) or mixed by a learned gate."""

    kind: Literal["moe_cnn"]
    gate: Literal["oracle", "learned"] = "learned"
    average_to: Annotated[int, Field(ge=1, le=4096)] = 1
    channels: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [32, 64]
    kernel_size: Annotated[int, Field(ge=1, le=4095)] = 7
    norm: Norm = "batch"
    activation: Activation = "relu"
    dropout: Probability = 0.0
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]
    init: Init = "default"

    _odd_kernel = field_validator("kernel_size")(odd)

    @property
    def expert(self) -> CnnSpec:
        """The single CNN that each expert, and the learned gate, is."""
        return CnnSpec(kind="cnn", **self.model_dump(exclude={"kind", "gate"}))


class MoeCnnFamily(Family[MoeCnnSpec]):
    """An upper bound with the oracle's gate, a network like others with the learned one."""

    section = MoeCnnSpec
    label = "MoE-CNN"
    colour = Colour("#a5428c", "#e590cf")
    network = "spectral_search.models.moe_cnn_network:build"
    make_smaller = "make model.channels smaller"

    def input_faults(self, section: MoeCnnSpec, shape: InputShape) -> list[str]:
        return CNN.input_faults(section.expert, shape)

    def parameters(self, section: MoeCnnSpec, shape: InputShape) -> int:
        experts = shape.bins * CNN.parameters(section.expert, shape)
        gate = 0 if self.needs_bin(section) else CNN.parameters(section.expert, shape, outputs=shape.bins)
        return experts + gate

    def forward_operations(self, section: MoeCnnSpec, shape: InputShape) -> int:
        return shape.bins * CNN.forward_operations(section.expert, shape)

    def step_bytes(self, section: MoeCnnSpec, shape: InputShape, element: int) -> int:
        """By the true bin each example is copied to one expert; by a learned gate all read it, and so does the gate.

        They go back one after the other.
        """
        kept, way_back = kept_and_way_back_bytes(section.expert, shape, element)
        copied = shape.channels * shape.pixels * element
        return way_back + (kept + copied if self.needs_bin(section) else (shape.bins + 1) * kept)

    def needs_bin(self, section: MoeCnnSpec) -> bool:
        return section.gate == "oracle"

    def likely_cause_of_collapse(self, section: MoeCnnSpec, fit: FitSpec) -> str | None:
        return NEEDS_A_NORM if section.norm == "none" else None


FAMILY = MoeCnnFamily()
