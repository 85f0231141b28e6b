"""How much a mask hides, and that it treats every place alike."""

import pytest
import torch

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.augmentation import augmentations


def hidden(share: float, run: int, channels: int = 1) -> torch.Tensor:
    fit = FitSpec.model_validate({"augment": [{"kind": "mask", "share": share, "run": run}]})
    (mask,) = augmentations(fit)
    return mask.apply(torch.ones(4000, channels, 50), seed=5) == 0.0


@pytest.mark.parametrize(("share", "run"), [(0.1, 1), (0.1, 5), (0.5, 10)])
def test_about_the_share_is_hidden_and_no_place_is_spared(share: float, run: int) -> None:
    of_each_place_L = hidden(share, run).float().mean((0, 1))
    torch.testing.assert_close(of_each_place_L, torch.full((50,), share), rtol=0.1, atol=0.02)


def test_all_channels_lose_the_same_values() -> None:
    both_BCL = hidden(0.2, 3, channels=2)
    assert torch.equal(both_BCL[:, 0], both_BCL[:, 1])


def test_a_share_of_zero_hides_nothing_and_a_run_may_be_longer_than_the_input() -> None:
    assert not hidden(0.0, 1).any()
    assert hidden(0.9, 1000).float().mean() == pytest.approx(0.9, abs=0.05)
