"""Learning from a teacher's outputs beside the targets (Hinton, Vinyals and Dean 2015).

Shape suffixes: B examples, O outputs; a target comes with the teacher's output: (B, 2) or (B, 2, O).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

from spectral_search.train.techniques.loss import Loss, mean_of_each

_CERTAIN = 30.0
"""A logit that leaves no doubt."""


def taught(target_B: torch.Tensor, teacher_B: torch.Tensor) -> torch.Tensor:
    """Targets with a teacher's outputs."""
    return torch.stack([target_B, teacher_B], 1)


@dataclass(frozen=True)
class Distilled(Loss):
    """weight x (distance from the teacher) + (1 - weight) x (own loss).

    The distance is the squared difference, or, of classes, T^2 times the divergence KL of the student's probabilities
    from the teacher's, both of logits / T: that factor keeps its gradient of one size whatever T is.

    Attributes:
        own: The loss by the targets.
        weight: Of the teacher.
        temperature: T.
    """

    own: Loss
    weight: float
    temperature: float

    @property
    def takes_mixtures(self) -> bool:  # type: ignore[override]
        return self.own.takes_mixtures

    @property
    def of_classes(self) -> bool:  # type: ignore[override]
        return self.own.of_classes

    def of_each(self, output_B: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
        target_B, teacher_B = target_B.unbind(1)
        apart_B = mean_of_each(self._apart(output_B, teacher_B))
        return self.weight * apart_B + (1.0 - self.weight) * self.own.of_each(output_B, target_B)

    def _apart(self, output: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        if not self.of_classes:
            return functional.mse_loss(output, teacher, reduction="none")
        logits, known = output / self.temperature, teacher / self.temperature
        cross = functional.binary_cross_entropy_with_logits(logits, torch.sigmoid(known), reduction="none")
        # The teacher's own entropy: no gradient comes of it, but the distance is 0 where both agree.
        least = functional.binary_cross_entropy_with_logits(known, torch.sigmoid(known), reduction="none")
        return self.temperature**2 * (cross - least)

    def of_no_input(self, target_N: torch.Tensor) -> torch.Tensor:
        return self.own.of_no_input(target_N)

    def answers(self, target_N: torch.Tensor) -> torch.Tensor:
        known_N = torch.nan_to_num(target_N, nan=0.5 if self.of_classes else 0.0)
        return taught(target_N, (2.0 * known_N - 1.0) * _CERTAIN if self.of_classes else known_N)
