"""Losses of two classes: outputs are logits, targets 0 or 1, or between them where they are smoothed or mixed."""

from dataclasses import dataclass, replace
from typing import Self

import torch

from spectral_search.errors import RequestError
from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.loss import Loss


@dataclass(frozen=True)
class ClassLoss(Loss):
    """What losses of two classes share.

    Attributes:
        smoothing: Part of each target that goes to both classes alike (Szegedy et al. 2016).
    """

    smoothing: float = 0.0

    @property
    def of_classes(self) -> bool:  # type: ignore[override]
        return True

    def of_fit(self, fit: FitSpec) -> Self:
        return replace(self, smoothing=fit.label_smoothing)

    def smoothed(self, target: torch.Tensor) -> torch.Tensor:
        """Targets, `smoothing / 2` away from 0 and from 1."""
        return target if self.smoothing == 0.0 else target * (1.0 - self.smoothing) + 0.5 * self.smoothing

    def for_targets(self, target_N: torch.Tensor) -> Self:
        if bool(((target_N != 0.0) & (target_N != 1.0)).any()):
            raise RequestError(
                f"This fit.loss is of classes, targets that are 0 or 1, and the training targets go from "
                f"{float(target_N.min()):.3g} to {float(target_N.max()):.3g}: use mse, l1 or huber."
            )
        return self

    def of_no_input(self, target_N: torch.Tensor) -> torch.Tensor:
        # Clamped: of one class alone the logit would be infinite.
        share = target_N.mean().clamp(1e-6, 1.0 - 1e-6)
        return torch.logit(share).expand_as(target_N)
