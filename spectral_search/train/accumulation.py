"""Gradients of several batches that make one step together."""

from collections.abc import Sequence

import torch
from torch import nn


class Accumulation:
    """Sums gradients until a step is due.

    Args:
        parameters: Of the network.
        batches: Of an epoch; the last step of an epoch takes what is left.
        of_a_step: Batches of a step.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], batches: int, of_a_step: int) -> None:
        self._parameters, self._batches, self._of_a_step = parameters, batches, of_a_step
        self._sums = [torch.zeros_like(value, requires_grad=False) for value in parameters]
        self.begin_epoch()

    def begin_epoch(self) -> None:
        self._seen = self._examples = 0
        self._taken: set[int] = set()

    @torch.no_grad()
    def is_due(self, examples: int) -> bool:
        """Take in the gradients that the parameters hold, the mean over so many examples; whether a step is due.

        Then the parameters hold the mean over all examples of the step.
        """
        self._seen, self._examples = self._seen + 1, self._examples + examples
        for place, (value, total) in enumerate(zip(self._parameters, self._sums, strict=True)):
            if value.grad is None:
                continue
            # Weighted by examples, since batches of an epoch may differ in size by one.
            if place in self._taken:
                total.add_(value.grad, alpha=examples)
            else:
                torch.mul(value.grad, examples, out=total)
                self._taken.add(place)
        if self._seen % self._of_a_step and self._seen < self._batches:
            return False
        for place in self._taken:
            self._parameters[place].grad = self._sums[place].div_(self._examples)
        self._examples, self._taken = 0, set()
        return True
