"""Spectra as a task: log g in dex from noisy stellar spectra in HDF5 shards."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

import numpy as np

from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import CheckNetworks
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.same_data import parent_note, require_same_data
from spectral_search.tasks.spectra.shards.split import Splits
from spectral_search.tasks.spectra.signal.input_choice import other_input_note
from spectral_search.tasks.spectra.spectra_plan import FoundSpectra, SpectraPlan, look_at


class Spectra(Task):
    """See `task.task.Task`."""

    name = "spectra"
    metrics: ClassVar = (
        Metric("r2", "R2", higher_is_better=True, worst=-1.0, chance=0.0),
        Metric("mae_dex", "MAE", higher_is_better=False, unit="dex"),
        Metric("rmse_dex", "RMSE", higher_is_better=False, unit="dex"),
    )

    def open(self, spec: RunSpec) -> DataRoot:
        return DataRoot.find(spec.data.root or [])

    def look_at(
        self, spec: RunSpec, opened: DataRoot, explicit: Collection[str], check_networks: CheckNetworks
    ) -> FoundSpectra:
        return look_at(spec, opened, explicit, check_networks)

    def recorded(self, spec: RunSpec, opened: DataRoot, arrays: Mapping[str, np.ndarray]) -> SpectraPlan:
        return SpectraPlan(spec, opened, Splits.from_arrays(arrays, opened))

    def require_same(self, run: RunPaths, data: Any, say: Callable[[str], None]) -> dict[str, Any]:
        return {"shards": require_same_data(run, data.root, data.splits, say)}

    def parent_note(self, parent: RunPaths, opened: DataRoot) -> str | None:
        return parent_note(parent, opened)

    def input_note(self, parent: RunSpec, name: str, params: Mapping[str, Any], spec: RunSpec) -> str | None:
        return other_input_note(parent, name, params, spec)


TASK = Spectra()
