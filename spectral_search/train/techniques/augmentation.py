"""What an augmentation is: a change of training inputs that follows from counters alone.

Val and test inputs are never changed. Members with the same augmentations of the same input share what comes of it.
Shape suffixes: B batch, C channels, L length.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import torch

from spectral_search.spec.fit import FitSpec
from spectral_search.task.counter import counter_seed


class Augmentation(Protocol):
    """A section of `fit.augment` that knows what to do.

    Where what it does commutes with rounding to a narrower number format (`EXACT`), members with different formats
    share inputs in the widest of them; others are given inputs in float32, whatever format their members have.
    """

    EXACT: ClassVar[bool]

    @property
    def kind(self) -> str:
        """Its name."""

    def apply(self, x_BCL: torch.Tensor, seed: int) -> torch.Tensor:
        """The changed inputs, a new tensor; `seed` is all its randomness follows from."""


def augmentations(fit: FitSpec) -> Sequence[Augmentation]:
    """Those of a recipe, in their order."""
    return fit.augment  # type: ignore[return-value]  # sections of the classes that are registered have `apply`


def augmented_key(input_key: str, fit: FitSpec) -> str:
    """Names an input as a recipe trains on it."""
    return " ".join([input_key, *(section.model_dump_json() for section in fit.augment)])


def augmented_inputs(
    inputs: Mapping[str, torch.Tensor], recipes: Mapping[str, tuple[str, FitSpec]], *counter: int | str
) -> dict[str, torch.Tensor]:
    """The inputs of a batch, with those that recipes train on.

    Args:
        inputs: By key, each (B, C, L).
        recipes: By `augmented_key`: the key of the input, and the recipe.
        counter: Seed, epoch and batch.
    """
    made = dict(inputs)
    for name, (input_key, fit) in recipes.items():
        x_BCL = inputs[input_key]
        for place, augmentation in enumerate(augmentations(fit)):
            x_BCL = augmentation.apply(x_BCL, counter_seed(*counter, "augment", place, augmentation.kind))
        made[name] = x_BCL
    return made
