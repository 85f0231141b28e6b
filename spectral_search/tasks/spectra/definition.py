"""Spectra as a task: what is measured, and in which direction."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spectral_search.spec.data import LEAKY_INPUTS
from spectral_search.task.measure import MeanError
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task
from spectral_search.tasks.spectra.scores import R2, scores


class Spectra(Task):
    """Labels of stars from their noisy spectra."""

    def scores(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> dict[str, float]:
        return scores(predicted_DN, np.broadcast_to(target_N, np.shape(predicted_DN)))

    def caveats(self, spec: Mapping[str, Any], params: Sequence[Mapping[str, Any]]) -> list[str]:
        """Inputs and gates that are told too much."""
        base_input = spec.get("data", {}).get("input", {}).get("kind")
        base_gate = spec.get("model", {}).get("gate")
        notes = []
        if leaky := sorted({trial.get("data.input.kind", base_input) for trial in params} & LEAKY_INPUTS):
            told = "the error array gives log g away; no comparison with flux alone"
            notes.append(f"leaky input {', '.join(leaky)}: {told}")
        if "oracle" in {trial.get("model.gate", base_gate) for trial in params}:
            notes.append("oracle gate: it is told the true T_eff and [M/H] bin; a bound, not a method")
        return notes

    def reporting(self) -> object:
        from spectral_search.tasks.spectra.report.reporting import REPORTING

        return REPORTING


TASK = Spectra(
    name="spectra",
    metrics=(
        Metric("r2", "R2", True, worst=-1.0, symbol="R²", measure=R2, tolerance=0.005, drawn_from=-0.1),
        Metric("mae_dex", "MAE", higher_is_better=False, unit="dex"),
        Metric("rmse_dex", "RMSE", False, unit="dex", measure=MeanError(2, root=True)),
    ),
    examples="spectra",
    target="log_g",
    labels=("id", "log_g", "T_eff", "M_H", "snr"),
    selected_on="frozen noise",
    retested_on="fresh noise",
    training_target="standardised log g",
)
