"""The equal average of the weights after each of the last epochs (Izmailov et al. 2018); before these, the weights."""

import torch

from spectral_search.train.techniques.weight_average import WeightAverage


class _StochasticWeightAverage(WeightAverage):
    @torch.no_grad()
    def update(self, step: int) -> None:
        # Networks are measured between epochs alone, and how many are averaged follows from the step: a resumed fit
        # needs to know no more than the average so far.
        epoch, place = divmod(step, self.steps_per_epoch)
        if place + 1 < self.steps_per_epoch:
            return
        averaged = epoch - (self.fit.epochs - max(1, round(self.fit.average_share * self.fit.epochs)))
        torch._foreach_lerp_(self.values, list(self.parameters), 1.0 / (max(0, averaged) + 1))


WEIGHT_AVERAGE = _StochasticWeightAverage
