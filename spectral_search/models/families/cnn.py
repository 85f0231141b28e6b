"""The convolutional network of the published stages: its section of a spec, its numbers, and where its network lies."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from spectral_search.models.layer_numbers import (
    FULL,
    INDEX,
    KEEPS_OUTPUT,
    conv_parameters,
    head_bytes,
    head_parameters,
    kernel_faults,
    norm_parameters,
)
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

NEEDS_A_NORM = "convolutions without normalisation often learn nothing; set model.norm=batch."


class CnnSpec(ModelSection):
    """Conv1d (- norm) - activation - MaxPool layers, adaptive average pool, MLP head.

    With `average_to` 1, as published, the average runs over all pixels and the head cannot tell where a feature came
    from; larger values keep that many positions of each channel apart.
    """

    kind: Literal["cnn"]
    channels: Annotated[list[Width], Field(min_length=1, max_length=MOST_LAYERS)] = [32, 64]
    kernel_size: Annotated[int, Field(ge=1, le=4095)] = 7
    norm: Norm = "none"
    activation: Activation = "relu"
    pool: Annotated[int, Field(ge=1, le=64)] = 2
    average_to: Annotated[int, Field(ge=1, le=4096)] = 1
    dropout: Probability = 0.0
    head: Annotated[list[Width], Field(max_length=MOST_LAYERS)] = [128]
    init: Init = "default"

    _odd_kernel = field_validator("kernel_size")(odd)


class CnnFamily(Family[CnnSpec]):
    """Reads pixels with their neighbours."""

    section = CnnSpec
    label = "CNN"
    colour = Colour("#c94f16", "#ff9b67")
    network = "spectral_search.models.cnn_network:Cnn"
    make_smaller = "make model.channels smaller"
    recomputes = True

    def input_faults(self, section: CnnSpec, shape: InputShape) -> list[str]:
        pixels = shape.pixels
        faults = kernel_faults("model.kernel_size", section.kernel_size, pixels)
        depth = len(section.channels)
        needed = section.pool**depth
        if pixels < needed:
            faults.append(
                f"model.channels has {depth} layers, each pooling by {section.pool}, which needs an input of at least "
                f"{needed} pixels; this one has {pixels}; use fewer layers or a smaller pool"
            )
        elif section.average_to > pixels // needed:
            faults.append(
                f"model.average_to is {section.average_to}, more than the {pixels // needed} positions that are left "
                f"of {pixels} pixels after pooling; use at most {pixels // needed}"
            )
        return faults

    def parameters(self, section: CnnSpec, shape: InputShape, outputs: int = 1) -> int:
        layers = sum(
            conv_parameters(i, o, section.kernel_size) + norm_parameters(section.norm, o)
            for i, o in pairwise([shape.channels, *section.channels])
        )
        return layers + head_parameters(section.channels[-1] * section.average_to, section.head, outputs)

    def forward_operations(self, section: CnnSpec, shape: InputShape) -> int:
        total, pixels = 0, shape.pixels
        for low, high in pairwise([shape.channels, *section.channels]):
            total += pixels * low * high * section.kernel_size
            pixels = max(1, pixels // section.pool)
        return total

    def step_bytes(self, section: CnnSpec, shape: InputShape, element: int) -> int:
        return sum(kept_and_way_back_bytes(section, shape, element))

    def recomputed_bytes(self, section: CnnSpec, shape: InputShape, element: int) -> int:
        """What each layer reads, and the rest of the largest."""
        pixels, read, largest = shape.pixels, 0, 0
        of_a_value = element * (1 + (section.norm != "none") + (section.activation not in KEEPS_OUTPUT))
        for width in section.channels:
            pooled = width * (pixels // section.pool)
            read += pooled * element
            largest = max(largest, width * pixels * of_a_value + (pooled * INDEX if section.pool > 1 else 0))
            pixels //= section.pool
        _, way_back = kept_and_way_back_bytes(section, shape, element)
        return read + largest + head_bytes(section.head, element) + way_back

    def likely_cause_of_collapse(self, section: CnnSpec, fit: FitSpec) -> str | None:
        return NEEDS_A_NORM if section.norm == "none" else None


def kept_and_way_back_bytes(section: CnnSpec, shape: InputShape, element: int) -> tuple[int, int]:
    """Memory of one example in a step: what is kept, and what is needed beside it on the way back.

    Of a layer: the convolution's output, the norm's, the places of the maxima, and what the next layer reads.
    """
    pixels = shape.pixels
    kept, largest = 0, shape.channels * pixels * FULL
    for width in section.channels:
        full, pooled = width * pixels, width * (pixels // section.pool)
        tensors = full * element * (1 + (section.norm != "none") + (section.activation not in KEEPS_OUTPUT))
        kept += tensors + (pooled * (element + INDEX) if section.pool > 1 else 0)
        largest = max(largest, full * FULL)
        pixels //= section.pool
    return kept + head_bytes(section.head, element), 3 * largest


FAMILY = CnnFamily()
