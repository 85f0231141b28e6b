"""Axes of a metric end where values are so bad that they differ only in how badly a training began."""

from matplotlib.axes import Axes

from spectral_search.task.metric import Metric


def limit_axis(ax: Axes, metric: Metric, worst: float | None = None) -> None:
    """End the vertical axis at the worst value to be shown, never beyond where the metric is drawn from.

    Args:
        ax: Its vertical axis is of the metric.
        metric: What it shows.
        worst: Where it is to end; as it ends now when absent.
    """
    low, high = ax.get_ylim()
    end = (low if metric.higher_is_better else high) if worst is None else worst
    if metric.drawn_from is not None and metric.better(metric.drawn_from, end):
        end = metric.drawn_from
    if metric.higher_is_better:
        ax.set_ylim(bottom=end)
    else:
        ax.set_ylim(top=end)
