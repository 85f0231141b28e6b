"""The exponential moving average: each step it goes 1 - decay of the way to the parameters."""

from collections.abc import Sequence

import torch

from spectral_search.train.techniques.weight_average import WeightAverage


class _ExponentialMovingAverage(WeightAverage):
    def _take_in(self, parameters: Sequence[torch.Tensor], step: int) -> None:
        # At first it forgets faster, or it would hold the initial weights for 1 / (1 - decay) steps.
        decay = min(self.fit.average_decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.values, list(parameters), 1.0 - decay)


WEIGHT_AVERAGE = _ExponentialMovingAverage
