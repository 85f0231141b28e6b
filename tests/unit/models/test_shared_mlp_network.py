"""A perceptron that all rows share."""

import pytest
import torch

from spectral_search.models.build import build_model
from spectral_search.models.families.shared_mlp import SharedMlpSpec
from spectral_search.models.parameter_count import count_parameters

ROWS, STEPS = 5, 6
SIZES = {"pixels": ROWS * STEPS, "channels": 3, "height": ROWS, "outputs": 2 * ROWS}
X_BCL = torch.randn(4, 3, ROWS * STEPS, generator=torch.Generator().manual_seed(1))


def test_each_row_is_answered_by_itself_and_in_the_same_way() -> None:
    model = build_model(SharedMlpSpec(kind="shared_mlp", hidden=[8]), **SIZES).eval()
    order = torch.tensor([3, 0, 4, 1, 2])
    moved_BCL = X_BCL.unflatten(-1, (ROWS, STEPS))[:, :, order].flatten(2)
    answer_BSA, moved_BSA = (model(x_BCL).unflatten(1, (ROWS, 2)) for x_BCL in (X_BCL, moved_BCL))
    torch.testing.assert_close(moved_BSA, answer_BSA[:, order])


@pytest.mark.parametrize("embedding", [0, 3])
def test_parameters_are_counted_in_closed_form(embedding: int) -> None:
    spec = SharedMlpSpec(kind="shared_mlp", hidden=[8, 4], row_embedding=embedding)
    assert sum(weight.numel() for weight in build_model(spec, **SIZES).parameters()) == count_parameters(spec, **SIZES)


def test_an_anchor_is_the_last_value_of_the_first_channel() -> None:
    made = []
    for anchor in (False, True):
        torch.manual_seed(0)
        made.append(build_model(SharedMlpSpec(kind="shared_mlp", hidden=[8], anchor=anchor), **SIZES)(X_BCL))
    last_BS = X_BCL.unflatten(-1, (ROWS, STEPS))[:, 0, :, -1]
    torch.testing.assert_close((made[1] - made[0]).unflatten(1, (ROWS, 2)), last_BS.unsqueeze(-1).expand(-1, -1, 2))
