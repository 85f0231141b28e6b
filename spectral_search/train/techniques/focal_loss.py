"""The focal loss of logits: examples that are right already count little (Lin et al. 2017)."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch.nn import functional

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.logits import ClassLoss
from spectral_search.train.techniques.loss import mean_of_each


@dataclass(frozen=True)
class _Focal(ClassLoss):
    """alpha (1 - p_t)^gamma (-log p_t), p_t being the probability of the target's class; both classes by their share.

    Attributes:
        alpha: Of the whole loss.
        gamma: How much less what is right already counts; 0 is the cross-entropy.
    """

    alpha: float = 1.0
    gamma: float = 2.0

    def of_fit(self, fit: FitSpec) -> Self:
        return replace(super().of_fit(fit), alpha=fit.focal_alpha, gamma=fit.focal_gamma)

    def of_each(self, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        # By logarithms of the probabilities: a power of 1 - p itself has no slope where that rounds to 0.
        log_one_B, log_zero_B = functional.logsigmoid(output_B), functional.logsigmoid(-output_B)
        one_B = -torch.exp(self.gamma * log_zero_B) * log_one_B
        zero_B = -torch.exp(self.gamma * log_one_B) * log_zero_B
        return mean_of_each(self.alpha * torch.lerp(zero_B, one_B, self.smoothed(target_B)))


LOSS = _Focal()
