"""The readings of a run as it trains on them, and exported models at work on others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_search.errors import RequestError
from spectral_search.places import writing
from spectral_search.record.bundle import Bundle, read_bundle, read_safetensors, to_safetensors
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.record.stack_bundle import at_work
from spectral_search.record.tables import column_of
from spectral_search.spec.run import RunSpec
from spectral_search.task.preparation import Examined, Predictor, Tested
from spectral_search.task.training import InputShape, Wanted
from spectral_search.tasks.traffic.definition import TASK
from spectral_search.tasks.traffic.readings import Split, Windows, split
from spectral_search.tasks.traffic.section import HORIZON
from spectral_search.tasks.traffic.traffic_device import MeasuredWindows, Series, TrafficSet
from spectral_search.tasks.traffic.traffic_files import read_traffic
from spectral_search.tasks.traffic.traffic_plan import TrafficPlan
from spectral_search.tasks.traffic.traffic_scale import TrafficScale
from spectral_search.train.network import Network
from spectral_search.train.prediction import LoneNetwork, predict, rows_at_once


class TrafficPredictor:
    """See `task.preparation.Predictor`."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.config = RunSpec.from_dict(bundle.config).base
        self._scale, self._device = TrafficScale.from_arrays(bundle.preprocessing), device
        self.sensors = len(self._scale.adjacency_SS)
        self._network = Network(self.config, InputShape.of(self.config.data.input, self.sensors), device)
        self._network.model.load_state_dict({name: torch.tensor(value) for name, value in bundle.weights.items()})

    def predict(self, examples: Windows) -> np.ndarray:
        """Predictions of shape (1, N, O).

        Raises:
            RequestError: The windows are of another number of sensors.
        """
        if len(examples.readings.sensors) != self.sensors:
            raise RequestError(
                f"The model reads {self.sensors} sensors and these data have {len(examples.readings.sensors)}: give "
                "readings of the network that it was trained on."
            )
        measured = MeasuredWindows(examples, Series(examples.readings, self._scale, self._device))
        wanted = {self._network.input_key: Wanted(self.config, self._network.input_format)}
        rows = rows_at_once(self.config.fit.batch_size)
        return predict([LoneNetwork(self._network)], measured, wanted, self._scale.target, rows)[0]


@dataclass(frozen=True)
class PreparedTraffic:
    """See `task.preparation.Prepared`."""

    plan: TrafficPlan
    dataset: TrafficSet
    notes: tuple[str, ...] = ()
    has_test: bool = True

    @property
    def val_labels_N(self) -> np.ndarray:
        return self.plan.parts.windows["val"].target_NO

    @property
    def val_table(self) -> pd.DataFrame:
        return _window_table(self.plan.parts.windows["val"])

    def fresh(self, draw: int) -> Windows:
        return self.plan.parts.windows["val"]

    def predictor(self, bundle: Bundle, device: torch.device) -> TrafficPredictor:
        return TrafficPredictor(bundle, device)

    def test(self, predictor: TrafficPredictor, recorded: Mapping[str, Any]) -> Tested:
        windows = self.plan.parts.windows["test"]
        table = _window_table(windows).assign(**{TASK.predicted: column_of(predictor.predict(windows)[0])})
        known = recorded.get("sha256", {}).get("test")
        return Tested(table, {}, known == self.plan.parts.sha256()["test"])


class TrafficPreparation:
    """See `task.preparation.Preparation`."""

    goes_ahead = True

    def __init__(self, plan: TrafficPlan, paths: RunPaths) -> None:
        self._plan, self._paths = plan, paths

    def prepare(self, *, on_ray: bool = False, abandoned: Event | None = None) -> PreparedTraffic:
        known, parts = self._paths.preprocessing_safetensors, self._plan.parts
        scale = TrafficScale.from_arrays(read_safetensors(known)[0]) if known.exists() else TrafficScale.of(parts)
        per_epoch = self._plan.spec.data.windows_per_epoch
        held = TrafficSet(parts.windows["train"], parts.windows["val"], scale, per_epoch)
        return PreparedTraffic(self._plan, held)

    def keep(self, prepared: PreparedTraffic, say: Callable[[str], None]) -> PreparedTraffic:
        if not self._paths.preprocessing_safetensors.exists():
            write_atomic(self._paths.preprocessing_safetensors, to_safetensors(prepared.dataset.scale.to_arrays()))
        return prepared


def _window_table(windows: Windows) -> pd.DataFrame:
    """A row a window: when its first predicted step is, and what sensors read then and after."""
    times_N = windows.times_N.astype("datetime64[s]")
    return pd.DataFrame({"id": times_N, TASK.target: column_of(windows.target_NO)})


def examined(bundle: Bundle, data: Path, part: str) -> Examined:
    """What an exported model predicts for a part of data, in blocks of time.

    Raises:
        RequestError: The model does not fit the data.
    """
    predictor, parts = _model_and_parts(bundle, data)
    chosen = "test" if part == "auto" else part
    windows = parts.windows[chosen]
    return Examined(predictor.predict(windows), windows.target_NO, chosen, windows.block_N2(parts.rows[chosen]))


def evaluated(model: Path, data: Path, part: str) -> dict[str, Any]:
    """The metrics of an exported model on a part of data.

    Raises:
        RequestError: The model does not fit the data.
    """
    found = examined(read_bundle(model), data, part)
    return {**TASK.scores(found.predicted_DN, found.target_N), TASK.examples: len(found.target_N), "part": found.part}


def forecast(model: Path, data: Path, file: Path) -> dict[str, Any]:
    """Write the forecasts for the test windows beside what was read: a row a window, sensor and step.

    Raises:
        RequestError: The model does not fit the data.
    """
    predictor, parts = _model_and_parts(read_bundle(model), data)
    windows = parts.windows["test"]
    table = _forecast_table(windows, predictor.predict(windows)[0])
    with writing(file):
        table.to_parquet(file) if file.suffix == ".parquet" else table.to_csv(file, index=False)
    return {TASK.examples: len(windows)}


def _forecast_table(windows: Windows, predicted_NO: np.ndarray) -> pd.DataFrame:
    """Forecasts one by one, a row each: when they were made, of which sensor, how many minutes ahead."""
    sensors, step = windows.readings.sensors, windows.readings.step_minutes
    made_N = (windows.times_N - np.timedelta64(step, "m")).astype("datetime64[s]")
    each = len(sensors) * HORIZON
    return pd.DataFrame(
        {
            "made_at": np.repeat(made_N, each),
            "sensor": np.tile(np.repeat(np.array(sensors), HORIZON), len(windows)),
            "minutes_ahead": np.tile(step * np.arange(1, HORIZON + 1), len(windows) * len(sensors)),
            TASK.target: windows.target_NO.ravel(),
            TASK.predicted: predicted_NO.ravel(),
        }
    )


def _model_and_parts(bundle: Bundle, data: Path) -> tuple[Predictor, Split]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = at_work(bundle, lambda model: TrafficPredictor(model, device))
    section = predictor.config.data.model_copy(update={"root": str(data)})
    return predictor, split(read_traffic(section), section, section.history or section.input.steps)
