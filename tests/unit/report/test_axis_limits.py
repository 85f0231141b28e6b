"""Axes end at the worst value that is worth showing, on the side where worse lies."""

import pytest
from matplotlib.figure import Figure

from spectral_search.report.axis_limits import limit_axis
from spectral_search.task.metric import Metric

HIGHER = Metric("score", "score", higher_is_better=True, drawn_from=-0.1)
LOWER = Metric("error", "error", higher_is_better=False, drawn_from=9.0)


@pytest.mark.parametrize(
    ("metric", "worst", "limits"),
    [
        (HIGHER, None, (-0.1, 20.0)),
        (HIGHER, 0.4, (0.4, 20.0)),
        (HIGHER, -3.0, (-0.1, 20.0)),
        (LOWER, None, (-5.0, 9.0)),
        (LOWER, 2.0, (-5.0, 2.0)),
        (LOWER, 30.0, (-5.0, 9.0)),
        (Metric("free", "free", higher_is_better=False), None, (-5.0, 20.0)),
    ],
)
def test_the_axis_ends_where_it_should(metric: Metric, worst: float | None, limits: tuple[float, float]) -> None:
    axes = Figure().subplots()
    axes.set_ylim(-5.0, 20.0)
    limit_axis(axes, metric, worst)
    assert axes.get_ylim() == limits
