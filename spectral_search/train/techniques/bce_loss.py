"""Binary cross-entropy of logits."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from spectral_search.train.techniques.logits import ClassLoss
from spectral_search.train.techniques.loss import ElementwiseLoss


@dataclass(frozen=True)
class _CrossEntropy(ClassLoss, ElementwiseLoss):
    def values(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(output, self.smoothed(target), reduction="none")

    def slopes(self, weight: torch.Tensor, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # Spelt out, for torch.sigmoid rounds the last few of an array otherwise: parts of a batch would differ.
        return weight * (torch.exp(-output).add_(1.0).reciprocal_() - self.smoothed(target))


LOSS = _CrossEntropy()
