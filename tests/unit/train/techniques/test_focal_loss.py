"""The focal loss against its formula."""

import pytest
import torch

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.loss import loss_of

OUTPUT_B = torch.linspace(-8.0, 8.0, 41, dtype=torch.float64)
CLASS_B = (torch.arange(41) % 2).double()


@pytest.mark.parametrize(("alpha", "gamma"), [(1.0, 2.0), (0.25, 0.5), (1.0, 5.0)])
def test_it_is_its_formula(alpha: float, gamma: float) -> None:
    loss = loss_of(FitSpec(loss="focal", focal_alpha=alpha, focal_gamma=gamma))
    one_B = torch.sigmoid(OUTPUT_B)
    of_class_B = torch.where(CLASS_B == 1.0, one_B, 1.0 - one_B)
    expected = -alpha * (1.0 - of_class_B) ** gamma * of_class_B.log()
    torch.testing.assert_close(loss.of_each(OUTPUT_B, CLASS_B), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_without_a_focus_it_is_the_cross_entropy(smoothing: float) -> None:
    focal, bce = (loss_of(FitSpec(loss=name, focal_gamma=0.0, label_smoothing=smoothing)) for name in ("focal", "bce"))
    torch.testing.assert_close(focal.of_each(OUTPUT_B, CLASS_B), bce.of_each(OUTPUT_B, CLASS_B))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_its_gradient_is_finite_however_sure_the_network_is(gamma: float) -> None:
    loss = loss_of(FitSpec(loss="focal", focal_gamma=gamma))
    sure_B, wrong_B = torch.tensor([-200.0, 200.0]), torch.tensor([1.0, 0.0])
    for target_B in (wrong_B, 1.0 - wrong_B):
        assert torch.isfinite(loss.gradient(2, sure_B, target_B)).all()
    torch.testing.assert_close(loss.gradient(2, sure_B, wrong_B), torch.tensor([-0.5, 0.5]))
