"""The squared difference."""

import torch
from torch.nn import functional

from spectral_search.train.techniques.loss import ElementwiseLoss, aten


class _SquaredError(ElementwiseLoss):
    kernel = "mse"

    def values(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.mse_loss(output, target, reduction="none")

    def slopes(self, weight: torch.Tensor, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        slopes: torch.Tensor = aten.mse_loss_backward(weight, output, target, 0)
        return slopes


LOSS = _SquaredError()
