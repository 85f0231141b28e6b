"""What an average of weights is: values beside the parameters that follow them from step to step.

The network is measured, kept as the best one and exported with them, and trained without.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from spectral_search.spec.fit import FitSpec


class WeightAverage(ABC):
    """An average over the steps of a fit, a function of the parameters' values after each.

    Args:
        parameters: Of the network. Buffers, such as the statistics of norms, stay the network's own.
        fit: The recipe.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], fit: FitSpec) -> None:
        self.parameters, self.fit = parameters, fit
        self.values = [value.detach().clone() for value in parameters]
        """The average of each parameter."""
        self.steps_per_epoch = 1
        """Set before the first step, for averages that go by epochs."""

    @abstractmethod
    def update(self, step: int) -> None:
        """Take in the parameters after a step, moving `values` in place; `step` counts the steps before it."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While it lasts, the network has the averaged values; afterwards its own again, bit for bit."""
        own = [value.detach().clone() for value in self.parameters]
        self._write(self.values)
        try:
            yield
        finally:
            self._write(own)

    @torch.no_grad()
    def _write(self, values: Sequence[torch.Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            # In the storage that is there, which optimisers and packs refer to.
            parameter.copy_(value)
