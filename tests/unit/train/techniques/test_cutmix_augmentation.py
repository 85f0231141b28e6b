"""What an example takes of another one: a run or a box, and of its target as much."""

import pytest
import torch

from spectral_search.train.techniques.cutmix_augmentation import AUGMENTATION


@pytest.mark.parametrize("height", [1, 6])
def test_targets_are_mixed_by_how_many_values_each_has(height: int) -> None:
    cutmix, ids_B = AUGMENTATION(kind="cutmix", alpha=1.0), torch.arange(5.0)
    x_BCL = ids_B[:, None, None].expand(5, 2, 24)
    taken = []
    for seed in range(300):
        mixed_BCL, target_B = cutmix.mix(x_BCL, ids_B, seed, height)
        torch.testing.assert_close(target_B, mixed_BCL.mean((1, 2)))
        foreign_BHW = (mixed_BCL != x_BCL)[:, 0].unflatten(1, (height, -1))
        taken.append(float(foreign_BHW.any(0).float().mean()))
        rows, columns = (foreign_BHW.any(0).any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        box = foreign_BHW.any(0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows else torch.ones(1, 1)
        assert box.all(), "what is taken lies in one piece"
    assert min(taken) < 0.05 and max(taken) > 0.7
