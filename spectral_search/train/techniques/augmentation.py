"""What an augmentation is: a change of training inputs, and of targets where it mixes, by counters alone.

Val and test inputs are never changed. Members with the same augmentations of the same input share what comes of it.
Shape suffixes: B batch, C channels, L length, which is H rows of W values one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import torch

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.task.counter import counter_seed
from spectral_search.task.training import TrainBatch
from spectral_search.train.techniques.distillation import taught
from spectral_search.train.techniques.loss import Loss

if TYPE_CHECKING:
    from spectral_search.train.teacher import Teacher


class Augmentation(Protocol):
    """A section of `fit.augment` that knows what to do.

    Where what it does commutes with rounding to a narrower number format (`EXACT`), members with different formats
    share inputs in the widest of them; others are given inputs in float32, whatever format their members have.
    """

    EXACT: ClassVar[bool]

    @property
    def kind(self) -> str:
        """Its name."""

    def apply(self, x_BCL: torch.Tensor, seed: int, height: int = 1) -> torch.Tensor:
        """The changed inputs, a new tensor in their number format; `seed` is all its randomness follows from.

        Args:
            x_BCL: Inputs.
            seed: Of its random draws.
            height: H, rows that the values of a channel lie in.
        """


@runtime_checkable
class Mixing(Protocol):
    """A section of `fit.augment` that mixes examples of a batch."""

    @property
    def kind(self) -> str:
        """Its name."""

    def mix(
        self, x_BCL: torch.Tensor, target_B: torch.Tensor, seed: int, height: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The mixed inputs and targets, new tensors; what is unknown of either of two targets stays so (NaN)."""


@dataclass(frozen=True)
class Recipe:
    """What some members train on.

    Attributes:
        input_key: The input that they read.
        fit: Says how it is changed.
        height: H.
        teacher: Whose outputs come with the targets.
    """

    input_key: str
    fit: FitSpec
    height: int = 1
    teacher: "Teacher | None" = None

    @property
    def changes(self) -> bool:
        """Whether members train on anything but what the task makes."""
        return bool(self.fit.augment) or self.teacher is not None

    @property
    def key(self) -> str:
        """Names the input as they train on it."""
        if not self.changes:
            return self.input_key
        taught_by = [] if self.teacher is None else [self.teacher.key]
        changes = [item.model_dump_json() for item in self.fit.augment]
        return " ".join([self.input_key, *taught_by, *changes])


def augmentations(fit: FitSpec) -> Sequence[Augmentation | Mixing]:
    """Those of a recipe, in their order."""
    return fit.augment  # type: ignore[return-value]  # sections of the classes that are registered have either


def require_mixable(fit: FitSpec, loss: Loss) -> None:
    """Refuse to mix targets for a loss that takes no mixtures.

    Raises:
        RequestError: It is asked for.
    """
    mixing = [item.kind for item in augmentations(fit) if isinstance(item, Mixing)]
    if mixing and not loss.takes_mixtures:
        raise RequestError(
            f"fit.augment mixes targets ({', '.join(mixing)}), and fit.loss {fit.loss} takes none but whole ones: "
            "leave it out."
        )


def augmented(batch: TrainBatch, recipes: Mapping[str, Recipe], *counter: int | str) -> TrainBatch:
    """A batch with the inputs, and the targets, that recipes train on.

    Args:
        batch: As the task makes it.
        recipes: By their keys.
        counter: Seed and epoch.
    """
    inputs, targets = dict(batch.inputs), {}
    outputs: dict[str, torch.Tensor] = {}
    for key, recipe in recipes.items():
        x_BCL, target_B = batch.inputs[recipe.input_key], batch.target_B
        if (teacher := recipe.teacher) is not None:
            if teacher.key not in outputs:
                outputs[teacher.key] = teacher.outputs(batch)
            target_B = taught(target_B, outputs[teacher.key])
        for place, item in enumerate(augmentations(recipe.fit)):
            # With the place, so that two of one kind in a recipe do not draw the same.
            seed = counter_seed(*counter, batch.index, "augment", place, item.kind)
            if isinstance(item, Mixing):
                x_BCL, target_B = item.mix(x_BCL, target_B, seed, recipe.height)
            else:
                x_BCL = item.apply(x_BCL, seed, recipe.height)
        inputs[key], targets[key] = x_BCL, target_B
    return replace(batch, inputs=inputs, targets=targets)
