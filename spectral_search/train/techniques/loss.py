"""What a loss is to training: a value of each example and the gradient of their mean.

Shape suffixes: B examples; an output is a number (B,) or an array (B, ...), most often (B, O) of O outputs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.name_registry import LOSSES

aten: Any = torch.ops.aten
"""Torch's operations as autograd calls them, backward ones included."""


class Loss(ABC):
    """A loss; the training loss of a batch is the mean over its examples.

    Attributes:
        takes_mixtures: Whether a target may be a mean of two targets.
        of_classes: Whether outputs are logits of two classes.
        kernel: The name of its gradient in machine code (`train.step_kernels`), where there is one.
    """

    takes_mixtures: bool = True
    of_classes: bool = False
    kernel: str | None = None

    def of_fit(self, fit: FitSpec) -> "Loss":
        """The loss as a recipe asks for it; one without options is what it is.

        Raises:
            RequestError: The recipe asks for what has no meaning here.
        """
        if fit.label_smoothing > 0.0:
            raise RequestError(
                f"fit.label_smoothing ({fit.label_smoothing:g}) has no meaning for fit.loss {fit.loss}: set it to 0."
            )
        return self

    def for_targets(self, target_N: torch.Tensor) -> "Loss":
        """The loss as training targets need it, all of which are known; one of numbers takes any.

        Raises:
            RequestError: It is not made for such targets.
        """
        return self

    def of_no_input(self, target_N: torch.Tensor) -> torch.Tensor:
        """What a network puts out that knows of the training targets and not of its input, in their shape."""
        return torch.zeros_like(target_N)  # targets are standardised: their mean

    def answers(self, target_N: torch.Tensor) -> torch.Tensor:
        """What `of_each` is to be given for training targets, where nothing but these is at hand."""
        return target_N

    @abstractmethod
    def of_each(self, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        """The loss of each example, shape (B,), from outputs and targets of equal shapes (B,) or (B, ...)."""

    def gradient(self, count: int, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        """The gradient of the mean over `count` examples by the outputs of some of them, of their shape.

        By autograd; a loss with a formula of its own saves small networks some of their time.
        """
        with torch.enable_grad():
            leaf_B = output_B.detach().requires_grad_()
            (gradient_B,) = torch.autograd.grad(self.of_each(leaf_B, target_B).sum() / count, leaf_B)
        return gradient_B


class ElementwiseLoss(Loss):
    """A loss whose value is the mean over the numbers of an example, each looked at by itself."""

    @abstractmethod
    def values(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Of each number, in the shape of the output."""

    @abstractmethod
    def slopes(self, weight: torch.Tensor, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The derivative of each value by its output, times a weight of shape (1,)."""

    def of_each(self, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        return mean_of_each(self.values(output_B, target_B))

    def gradient(self, count: int, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        numbers = count * (output_B.numel() // len(output_B))
        return self.slopes(_part(numbers, output_B.device), output_B, target_B)


@dataclass(frozen=True)
class KnownOnly(Loss):
    """A loss of which targets that are NaN are left out: the mean over what is known of an example, 0 where nothing is.

    Attributes:
        loss: Of each number by itself.
    """

    loss: Loss

    @property
    def takes_mixtures(self) -> bool:  # type: ignore[override]
        return self.loss.takes_mixtures

    @property
    def of_classes(self) -> bool:  # type: ignore[override]
        return self.loss.of_classes

    def of_each(self, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        known_B = ~target_B.isnan()
        # What stands for an unknown target is of no consequence, but must be one that any loss takes.
        filled_B = torch.where(known_B, target_B, 0.0)
        values_B = self.loss.of_each(output_B.reshape(-1), filled_B.reshape(-1)).view_as(output_B)
        sums_B, counts_B = _flat(torch.where(known_B, values_B, 0.0)).sum(1), _flat(known_B).sum(1)
        return sums_B / counts_B.clamp(min=1)

    def of_no_input(self, target_N: torch.Tensor) -> torch.Tensor:
        known_N = ~target_N.isnan()
        output_N = torch.zeros_like(target_N)
        output_N[known_N] = self.loss.of_no_input(target_N[known_N])
        return output_N


def loss_of(fit: FitSpec) -> Loss:
    """The loss that a recipe asks for; equal for members whose losses are.

    Raises:
        RequestError: The recipe asks for what has no meaning for its loss.
    """
    found: Loss = LOSSES.find(fit.loss)
    return found.of_fit(fit)


def loss_for(loss: Loss, target_N: torch.Tensor) -> Loss:
    """The loss as the training targets need it.

    Raises:
        RequestError: It is not made for them.
    """
    known_N = ~target_N.isnan()
    return loss.for_targets(target_N) if bool(known_N.all()) else KnownOnly(loss.for_targets(target_N[known_N]))


def mean_of_each(values: torch.Tensor) -> torch.Tensor:
    """The mean over the numbers of each example, shape (B,)."""
    return values if values.dim() == 1 else values.flatten(1).mean(1)


def _flat(values: torch.Tensor) -> torch.Tensor:
    """The numbers of each example in a row."""
    return values.reshape(len(values), -1)


@cache
def _part(count: int, device: torch.device) -> torch.Tensor:
    """What one of as many values adds to their mean."""
    return torch.ones(1, device=device) / count
