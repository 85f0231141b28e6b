"""How large the noise is."""

import pytest
import torch

from spectral_search.train.techniques.noise_augmentation import AUGMENTATION


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_it_has_the_spread_that_is_asked_for_and_no_mean(sigma: float) -> None:
    x_BCL = torch.ones(200, 2, 50)
    noise_BCL = AUGMENTATION(kind="noise", sigma=sigma).apply(x_BCL, seed=3) - x_BCL
    assert float(noise_BCL.std()) == pytest.approx(sigma, rel=0.03)
    assert float(noise_BCL.mean()) == pytest.approx(0.0, abs=0.01)
