"""The equal average of the last epochs against torch's, and what a member makes of it."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.swa_weight_average import WEIGHT_AVERAGE


@pytest.mark.parametrize(("share", "first"), [(1.0, 0), (0.5, 5), (0.3, 7), (0.001, 9)])
def test_it_is_torchs_from_its_first_epoch_on_and_the_weights_before(share: float, first: int) -> None:
    steps_per_epoch, model = 3, nn.Linear(4, 2)
    average = WEIGHT_AVERAGE(list(model.parameters()), FitSpec(weight_average="swa", epochs=10, average_share=share))
    average.steps_per_epoch = steps_per_epoch
    peer = AveragedModel(model)
    for step in range(10 * steps_per_epoch):
        with torch.no_grad():
            for place, value in enumerate(model.parameters()):
                value += torch.randn(value.shape, generator=torch.Generator().manual_seed(10 * step + place))
        average.update(step)
        epoch, place = divmod(step + 1, steps_per_epoch)
        if place:
            continue
        if epoch > first:
            peer.update_parameters(model)
        expected = peer.module.parameters() if epoch > first else model.parameters()
        for value, known in zip(average.values, expected, strict=True):
            torch.testing.assert_close(value, known)
