"""What forecasts are worth: mean errors over all sensors and steps, and at 15, 30 and 60 minutes.

What is missing is left out. Windows begin a step apart, so that neighbours share most of what they predict: intervals
draw as many together as a window predicts steps.
"""

from spectral_search.task.measure import MaskedError
from spectral_search.task.metric import Metric
from spectral_search.tasks.traffic.section import HORIZON

_MARKS = {"15": 2, "30": 5, "60": 11}
"""Minutes -> the step, counted from 0, that ends there, of five minutes each."""


def _three(step: int | None = None, name: str = "", told: str = "") -> tuple[Metric, ...]:
    """MAE, RMSE and MAPE, of all steps or of one."""
    absolute, squared, relative = (
        MaskedError(power, root, percent, step, row=HORIZON, together=HORIZON)
        for power, root, percent in ((1, False, False), (2, True, False), (1, False, True))
    )
    return (
        Metric(f"mae{name}", f"MAE{told}", False, worst=100.0, digits=3, measure=absolute, tolerance=0.01),
        Metric(f"rmse{name}", f"RMSE{told}", False, digits=3, measure=squared),
        Metric(f"mape{name}", f"MAPE{told}", False, unit="%", digits=2, measure=relative),
    )


METRICS = (
    *_three(),
    *(metric for mark, step in _MARKS.items() for metric in _three(step, f"_{mark}", f" at {mark} min")),
)
