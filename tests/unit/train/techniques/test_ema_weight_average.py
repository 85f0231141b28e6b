"""The exponential moving average against its definition, its first steps included."""

import pytest
import torch

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.ema_weight_average import WEIGHT_AVERAGE


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_each_step_goes_its_part_of_the_way(decay: float) -> None:
    parameter = torch.tensor([1.0, -2.0])
    average = WEIGHT_AVERAGE([parameter], FitSpec(weight_average="ema", average_decay=decay))
    expected = parameter.clone()
    for step in range(100):
        parameter += 0.1
        average.update(step)
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1.0 - kept) * parameter
        torch.testing.assert_close(average.values[0], expected)
