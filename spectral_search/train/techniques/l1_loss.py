"""The absolute difference."""

import torch
from torch.nn import functional

from spectral_search.train.techniques.loss import ElementwiseLoss


class _AbsoluteError(ElementwiseLoss):
    kernel = "l1"

    def values(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.l1_loss(output, target, reduction="none")

    def slopes(self, weight: torch.Tensor, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return weight * (output - target).sgn_()


LOSS = _AbsoluteError()
