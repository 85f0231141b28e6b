"""Half the squared difference up to 1, beyond that the difference less 1/2 (Huber 1964)."""

import torch
from torch.nn import functional

from spectral_search.train.techniques.loss import ElementwiseLoss, aten


class _Huber(ElementwiseLoss):
    kernel = "huber"

    def values(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.huber_loss(output, target, reduction="none")

    def slopes(self, weight: torch.Tensor, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        slopes: torch.Tensor = aten.huber_loss_backward(weight, output, target, 0, 1.0)
        return slopes


LOSS = _Huber()
