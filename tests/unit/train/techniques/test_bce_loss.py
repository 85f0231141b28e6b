"""The binary cross-entropy equals torch's, smoothed as torch smooths classes."""

import pytest
import torch
from torch.nn import functional

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.loss import loss_of

OUTPUT_B = torch.tensor([-40.0, -2.0, -0.1, 0.0, 0.7, 3.0, 60.0, 5.0])
CLASS_B = torch.tensor([0, 1, 0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_it_is_the_cross_entropy_of_two_classes(smoothing: float) -> None:
    loss = loss_of(FitSpec(loss="bce", label_smoothing=smoothing))
    logits_B2 = torch.stack([torch.zeros_like(OUTPUT_B), OUTPUT_B], 1)
    expected = functional.cross_entropy(logits_B2, CLASS_B, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(loss.of_each(OUTPUT_B, CLASS_B.float()), expected, rtol=1e-6, atol=1e-7)


def test_losses_of_equal_recipes_are_equal_and_of_others_are_not() -> None:
    plain, same, other = (loss_of(FitSpec(loss="bce", label_smoothing=part)) for part in (0.1, 0.1, 0.2))
    assert plain == same and hash(plain) == hash(same) and plain != other
