"""What a loss is to training: a value of each example and the gradient of their mean.

Shape suffixes: B examples; an output is a number (B,) or an array (B, ...).
"""

from abc import ABC, abstractmethod
from functools import cache
from typing import Any

import torch

aten: Any = torch.ops.aten
"""Torch's operations as autograd calls them, backward ones included."""


class Loss(ABC):
    """A loss; the training loss of a batch is the mean over its examples."""

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
        values = self.values(output_B, target_B)
        return values if values.dim() == 1 else values.flatten(1).mean(1)

    def gradient(self, count: int, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        numbers = count * (output_B.numel() // len(output_B))
        return self.slopes(_part(numbers, output_B.device), output_B, target_B)


@cache
def _part(count: int, device: torch.device) -> torch.Tensor:
    """What one of as many values adds to their mean."""
    return torch.ones(1, device=device) / count
