"""How far examples are moved, and what fills what they leave."""

import pytest
import torch

from spectral_search.train.techniques.shift_augmentation import AUGMENTATION


@pytest.mark.parametrize("height", [1, 3])
def test_rows_are_moved_as_one_and_their_ends_repeated(height: int) -> None:
    rows_HW = torch.arange(10.0) + 100.0 * torch.arange(height).unsqueeze(1)
    x_BCL = rows_HW.flatten().expand(500, 2, -1)
    moved_BCHW = AUGMENTATION(kind="shift", steps=2).apply(x_BCL, seed=1, height=height).unflatten(2, (height, 10))
    by_B = 5 - moved_BCHW[:, 0, 0, 5]
    assert sorted(by_B.unique().tolist()) == [-2.0, -1.0, 0.0, 1.0, 2.0]
    expected_BW = (torch.arange(10.0) - by_B.unsqueeze(1)).clamp(0, 9)
    assert torch.equal(moved_BCHW, (expected_BW[:, None, None] + rows_HW[:, :1]).expand(-1, 2, -1, -1))


def test_no_further_than_an_input_is_long_and_not_at_all_by_nothing() -> None:
    x_BCL = torch.randn(50, 1, 4)
    assert torch.equal(AUGMENTATION(kind="shift", steps=0).apply(x_BCL, seed=1), x_BCL)
    assert torch.isfinite(AUGMENTATION(kind="shift", steps=100).apply(x_BCL, seed=1)).all()
