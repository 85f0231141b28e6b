"""Traffic as a task: what every sensor of a road network reads in the next hour."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import CheckNetworks
from spectral_search.task.preparation import Examined
from spectral_search.task.verbs import DefaultData, Verb
from spectral_search.tasks.traffic.readings import Readings, Windows, split
from spectral_search.tasks.traffic.traffic_files import read_traffic
from spectral_search.tasks.traffic.traffic_metrics import METRICS
from spectral_search.tasks.traffic.traffic_plan import FoundTraffic, TrafficPlan, look_at
from spectral_search.train.array_task import InMemoryTask


class Traffic(InMemoryTask):
    """The next twelve steps of every sensor, from the last."""

    name = "traffic"
    metrics = METRICS
    examples = "windows"
    target = "reading"
    labels = ("id", "reading")
    selected_on = "the time after training"
    redraws, retested_on = False, "the same windows"
    training_target = "standardised readings"

    def open(self, spec: RunSpec) -> Readings:
        return read_traffic(spec.data)

    def look_at(
        self, spec: RunSpec, opened: Readings, explicit: Collection[str], check_networks: CheckNetworks
    ) -> FoundTraffic:
        return look_at(spec, opened, check_networks)

    def recorded(self, spec: RunSpec, opened: Readings, arrays: Mapping[str, np.ndarray]) -> TrafficPlan:
        parts = split(opened, spec.data, spec.data.history or spec.data.input.steps)
        windows = {part: Windows(opened, arrays[f"{part}_rows"]) for part in parts.windows}
        return TrafficPlan(spec, replace(parts, windows=windows))

    def verbs(self) -> Mapping[str, Verb[Any, Any]]:
        from spectral_search.tasks.traffic.traffic_verbs import AUDIT, BASELINES, INSPECT, SIMULATE

        return {"simulate": SIMULATE, "inspect": INSPECT, "baselines": BASELINES, "audit": AUDIT}

    def reporting(self) -> object:
        from spectral_search.tasks.traffic.traffic_reporting import REPORTING

        return REPORTING

    def default_data(self) -> DefaultData:
        from spectral_search.tasks.traffic.traffic_verbs import small_network

        return small_network()

    def evaluate(self, model: Path, data: Path, part: str, run: Any, *, observed: bool = False) -> dict[str, Any]:
        from spectral_search.tasks.traffic.traffic_preparation import evaluated

        return evaluated(model, data, part)

    def examined(self, bundle: Any, data: Path, part: str) -> Examined:
        from spectral_search.tasks.traffic.traffic_preparation import examined

        return examined(bundle, data, part)

    def predict(
        self, model: Path, data: Path, file: Path, *, called: str = "", observed: bool = False
    ) -> dict[str, Any]:
        from spectral_search.tasks.traffic.traffic_preparation import forecast

        return forecast(model, data, file)


TASK = Traffic()
