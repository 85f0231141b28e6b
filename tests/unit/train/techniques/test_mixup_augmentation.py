"""Mixtures of two examples: their weights, and that targets go with inputs."""

import numpy as np
import pytest
import torch

from spectral_search.train.techniques.mixup_augmentation import AUGMENTATION


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_inputs_and_targets_are_weighted_alike_by_a_draw_of_beta(alpha: float) -> None:
    mixup, x_BCL = AUGMENTATION(kind="mixup", alpha=alpha), torch.eye(8).unsqueeze(1)
    target_BO = torch.randn(8, 3)
    parts = []
    for seed in range(2000):
        mixed_BCL, mixed_BO = mixup.mix(x_BCL, target_BO, seed)
        if seed < 20:
            torch.testing.assert_close(mixed_BO, mixed_BCL.squeeze(1) @ target_BO)
        torch.testing.assert_close(mixed_BCL.sum((1, 2)), torch.ones(8))
        parts.append(float(mixed_BCL[0, 0, 0]))
    mixed = np.array([part for part in parts if part < 1.0])  # else it was its own partner
    assert len(mixed) / 2000 == pytest.approx(7 / 8, abs=0.03)
    assert mixed.mean() == pytest.approx(0.5, abs=0.03)
    assert mixed.var() == pytest.approx(1.0 / (4.0 * (2.0 * alpha + 1.0)), rel=0.1)


def test_what_is_unknown_of_either_stays_unknown() -> None:
    target_B = torch.tensor([1.0, float("nan")])
    mixup = AUGMENTATION(kind="mixup", alpha=1.0)
    swapped = [mixup.mix(torch.zeros(2, 1, 1), target_B, seed)[1].isnan().tolist() for seed in range(10)]
    assert [False, True] in swapped and [True, True] in swapped
