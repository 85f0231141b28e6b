"""The `model` section: what the sections of all families share, and the kinds of values that theirs are made of."""

from typing import Annotated, Literal

from pydantic import Field

from spectral_search.spec.base import Section

Width = Annotated[int, Field(ge=1, le=65536)]
MOST_LAYERS = 64
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]
Activation = Literal["relu", "gelu", "silu", "elu", "tanh"]
Norm = Literal["none", "batch", "layer", "group"]
Init = Literal["default", "xavier", "kaiming"]


class ModelSection(Section):
    """A `model` section; the class of each family says which `kind` it is, as a literal, and what else it holds."""

    kind: str


def odd(value: int) -> int:
    """A kernel's width as it is, for a validator of pydantic.

    Raises:
        ValueError: It is even.
    """
    if value % 2 == 0:
        raise ValueError(f"{value} is even; a same-length convolution needs an odd kernel, such as {value + 1}")
    return value
