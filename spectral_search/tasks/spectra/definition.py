"""Spectra as a task: what is measured, and in which direction."""

from spectral_search.task.metric import Metric
from spectral_search.task.task import Task

TASK = Task(
    name="spectra",
    metrics=(
        Metric("r2", "R2", higher_is_better=True, worst=-1.0, chance=0.0),
        Metric("mae_dex", "MAE", higher_is_better=False, unit="dex"),
        Metric("rmse_dex", "RMSE", higher_is_better=False, unit="dex"),
    ),
)
