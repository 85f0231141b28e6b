"""Spectra as a task: log g in dex from noisy stellar spectra in HDF5 shards."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.places import writing
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import CheckNetworks
from spectral_search.task.measure import MeanError
from spectral_search.task.metric import Metric
from spectral_search.task.preparation import Examined
from spectral_search.task.task import Task
from spectral_search.task.verbs import DefaultData, Verb
from spectral_search.tasks.spectra.scores import R2, scores
from spectral_search.tasks.spectra.section import LEAKY_INPUTS

if TYPE_CHECKING:
    from spectral_search.tasks.spectra.shards.data_root import DataRoot
    from spectral_search.tasks.spectra.spectra_plan import FoundSpectra, SpectraPlan


class Spectra(Task):
    """Labels of stars from their noisy spectra."""

    name = "spectra"
    metrics = (
        Metric("r2", "R2", True, worst=-1.0, chance=0.0, symbol="R²", measure=R2, tolerance=0.005, drawn_from=-0.1),
        Metric("mae_dex", "MAE", higher_is_better=False, unit="dex"),
        Metric("rmse_dex", "RMSE", False, unit="dex", measure=MeanError(2, root=True)),
    )
    examples = "spectra"
    target = "log_g"
    labels = ("id", "log_g", "T_eff", "M_H", "snr")
    selected_on = "frozen noise"
    retested_on = "fresh noise"
    training_target = "standardised log g"

    # What a method needs is imported by it: the help of a verb names options alone.
    def open(self, spec: RunSpec) -> "DataRoot":
        from spectral_search.tasks.spectra.shards.data_root import DataRoot

        return DataRoot.find(spec.data.root or [])

    def look_at(
        self, spec: RunSpec, opened: "DataRoot", explicit: Collection[str], check_networks: CheckNetworks
    ) -> "FoundSpectra":
        from spectral_search.tasks.spectra.spectra_plan import look_at

        return look_at(spec, opened, explicit, check_networks)

    def recorded(self, spec: RunSpec, opened: "DataRoot", arrays: Mapping[str, np.ndarray]) -> "SpectraPlan":
        from spectral_search.tasks.spectra.shards.split import Splits
        from spectral_search.tasks.spectra.spectra_plan import SpectraPlan

        return SpectraPlan(spec, opened, Splits.from_arrays(arrays, opened))

    def require_same(self, run: RunPaths, data: Any, say: Callable[[str], None]) -> dict[str, Any]:
        from spectral_search.tasks.spectra.shards.same_data import require_same_data

        return {"shards": require_same_data(run, data.root, data.splits, say)}

    def parent_note(self, parent: RunPaths, opened: "DataRoot") -> str | None:
        from spectral_search.tasks.spectra.shards.same_data import parent_note

        return parent_note(parent, opened)

    def input_note(self, parent: RunSpec, name: str, params: Mapping[str, Any], spec: RunSpec) -> str | None:
        from spectral_search.tasks.spectra.signal.input_choice import other_input_note

        return other_input_note(parent, name, params, spec)

    def evaluate(self, model: Path, data: Path, part: str, run: Any, *, observed: bool = False) -> dict[str, Any]:
        from spectral_search.tasks.spectra.training.exported_models import evaluate_model

        return evaluate_model(model, data, part, observed, run)

    def examined(self, bundle: Any, data: Path, part: str) -> Examined:
        from spectral_search.tasks.spectra.training.exported_models import examined

        return examined(bundle, data, part)

    def predict(
        self, model: Path, data: Path, file: Path, *, called: str = "", observed: bool = False
    ) -> dict[str, Any]:
        from spectral_search.tasks.spectra.report.astro_tables import require_ascii
        from spectral_search.tasks.spectra.report.prediction_tables import write_prediction_table
        from spectral_search.tasks.spectra.training.exported_models import predict_shards

        made = predict_shards(model, data, observed, accept=lambda labels: require_ascii(labels, file))
        with writing(file):
            write_prediction_table(made.table, file, {**made.provenance, "model": called or str(model)})
        return {"spectra": len(made.table), "noise": made.noise}

    def check_table_name(self, file: Path) -> None:
        from spectral_search.tasks.spectra.report.prediction_tables import check_table_name

        check_table_name(file)

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

    def verbs(self) -> Mapping[str, Verb[Any, Any]]:
        from spectral_search.tasks.spectra.data_verbs import INSPECT, SIMULATE
        from spectral_search.tasks.spectra.reference_verbs import AUDIT, BASELINES

        return {"simulate": SIMULATE, "inspect": INSPECT, "baselines": BASELINES, "audit": AUDIT}

    def default_data(self) -> DefaultData:
        from spectral_search.tasks.spectra.data_verbs import small_set

        return small_set()

    def reporting(self) -> object:
        from spectral_search.tasks.spectra.report.spectra_reporting import REPORTING

        return REPORTING


TASK = Spectra()
