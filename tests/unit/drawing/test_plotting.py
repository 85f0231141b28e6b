"""Parts of figures that data of any range must not break."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from spectral_search.drawing.plotting import log_axis


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.0, 1e6), (3.0, 70.0), (41.9, 45.1), (0.93, 1.07), (3.0e-4, 3.1e-4), (99.0, 101.0), (86.3, 86.3000001)],
)
def test_a_logarithmic_axis_has_ticks_in_any_range(low: float, high: float) -> None:
    figure, axes = plt.subplots()
    try:
        axes.set(xscale="log", xlim=(low, high))
        log_axis(axes.xaxis, low, high, "{:g}".format)
        ticks = axes.get_xticks()
        assert 1 <= len(ticks) <= 6
        assert np.all((ticks >= low) & (ticks <= high))
        if high > 1.001 * low:
            assert len(ticks) >= 2
    finally:
        plt.close(figure)
