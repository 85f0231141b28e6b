"""How far images are turned, moved and made larger."""

from typing import Any

import pytest
import torch

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.augmentation import augmentations

SIDE = 15


def affine(**keys: Any) -> Any:
    still = {"rotation": 0.0, "shift": 0.0, "crop": 1.0}
    fit = FitSpec.model_validate({"augment": [{"kind": "affine", **still, **keys}]})
    return augmentations(fit)[0]


def images(count: int = 6, channels: int = 2) -> torch.Tensor:
    return torch.randn(count, channels, SIDE * SIDE, generator=torch.Generator().manual_seed(0))


def test_nothing_asked_for_changes_nothing() -> None:
    torch.testing.assert_close(affine().apply(images(), 1), images(), atol=1e-5, rtol=0.0)


def test_a_turn_is_a_turn() -> None:
    """Of a quarter, which moves whole pixels, for a draw of all that is allowed."""
    turn = affine(rotation=90.0)
    map_123 = turn._maps(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
    torch.testing.assert_close(map_123[0], torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]), atol=1e-6, rtol=0.0)


def test_turns_moves_and_crops_stay_within_what_is_asked_for() -> None:
    drawn_4I = torch.rand(4, 2000, generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0
    map_I23 = affine(rotation=20.0, shift=0.1, crop=0.8)._maps(drawn_4I)
    kept_I = torch.linalg.det(map_I23[:, :, :2]).sqrt()
    assert 0.8 <= kept_I.min() < 0.81 and 0.99 < kept_I.max() <= 1.0 + 1e-6
    angle_I = torch.atan2(map_I23[:, 1, 0], map_I23[:, 0, 0]).rad2deg()
    assert 19.5 < angle_I.abs().max() <= 20.0 + 1e-3
    # In a side of 2: what a crop leaves free on both sides, and a tenth of the side beyond it.
    most_I = 1.0 - kept_I + 0.2
    assert (map_I23[:, :, 2].abs().max(1).values <= most_I + 1e-6).all()
    assert (map_I23[:, :, 2].abs().max(1).values > 0.9 * most_I).any()


def test_a_move_moves_and_leaves_the_border_behind() -> None:
    x_BCL = torch.full((400, 1, SIDE * SIDE), 2.0)
    middle = (SIDE // 2) * SIDE + SIDE // 2
    x_BCL[:, :, middle] = 0.0
    made_BHH = affine(shift=0.2).apply(x_BCL, 3).reshape(-1, SIDE, SIDE)
    torch.testing.assert_close((2.0 - made_BHH).sum((1, 2)), torch.full((400,), 2.0), atol=1e-4, rtol=0.0)
    weight_BHH = (2.0 - made_BHH) / 2.0
    row_B = (weight_BHH.sum(2) * torch.arange(SIDE)).sum(1) - SIDE // 2
    assert 2.7 < row_B.abs().max() <= 3.0 + 1e-3 and row_B.mean().abs() < 0.3


@pytest.mark.parametrize("several", [1, 2])
def test_images_of_an_example_are_changed_apart_where_there_are_several(several: int) -> None:
    one_BL = images(6, 1)
    both_BCL = affine(rotation=30.0, images=several).apply(one_BL.repeat(1, 2, 1), 5)
    assert torch.equal(both_BCL[:, 0], both_BCL[:, 1]) is (several == 1)
    assert not torch.equal(both_BCL[0], both_BCL[1])


@pytest.mark.parametrize(
    ("channels", "length", "height", "told"),
    [(1, 64, 8, None), (1, 64, 1, "inputs are none"), (1, 64, 4, "inputs are none"), (3, 64, 8, "3 channels are not")],
)
def test_inputs_that_are_no_images_are_refused(channels: int, length: int, height: int, told: str | None) -> None:
    faults = affine(images=1 if channels == 1 else 2).input_faults(channels, length, height)
    assert (told is None and faults == []) or (told is not None and told in faults[0])
