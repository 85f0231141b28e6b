"""No average: networks are measured and kept with the weights that they train with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.weight_average import WeightAverage


class _NoAverage(WeightAverage):
    def __init__(self, parameters: Sequence[torch.Tensor], fit: FitSpec) -> None:
        super().__init__((), fit)

    def update(self, step: int) -> None:
        """There is nothing to take in."""

    @contextmanager
    def in_place(self) -> Iterator[None]:
        yield


WEIGHT_AVERAGE = _NoAverage
