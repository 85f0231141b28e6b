"""What networks must beat: the last reading, the usual one of the time of day, and ridge regression on lags.

Each is a function from a split of the readings to forecasts for windows of it. Ridge is fitted for each sensor and step
by itself, on what that sensor and those nearest to it read last, on the time, and on what it usually reads then; its
penalty is chosen on val. All of them see the past alone, like a network.
Shape suffixes: N windows, S sensors, H steps to predict, O = S x H, F features.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spectral_search.task.measure import value_of
from spectral_search.tasks.traffic.readings import Split, Windows
from spectral_search.tasks.traffic.section import HORIZON
from spectral_search.tasks.traffic.traffic_metrics import METRICS
from spectral_search.tasks.traffic.traffic_scale import TrafficScale

_LAGS, _NEIGHBOURS, _NEIGHBOUR_LAGS = 12, 5, 3
"""Steps that ridge reads of a sensor, sensors beside it that it reads, and steps of each of these."""
_PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)


@dataclass(frozen=True)
class Forecaster:
    """A fitted baseline.

    Attributes:
        predict: Forecasts for windows, (N, O).
        facts: What else is to be known of it.
    """

    predict: Callable[[Windows], np.ndarray]
    facts: dict[str, Any] = field(default_factory=dict)


def last_value(parts: Split) -> Forecaster:
    """The last reading, for all steps; the usual one of a sensor that has read nothing yet."""
    scale = TrafficScale.of(parts)

    def predict(windows: Windows) -> np.ndarray:
        last_NS = _filled(windows, scale)[windows.origin_N - 1]
        return np.repeat(last_NS, HORIZON, axis=1)

    return Forecaster(predict)


def time_of_day(parts: Split) -> Forecaster:
    """What each sensor read on average at that time of day in the training time."""
    scale = TrafficScale.of(parts)

    def predict(windows: Windows) -> np.ndarray:
        usual_TS = scale.target.std * scale.usual_TS(windows.readings) + scale.target.mean
        rows_NH = windows.origin_N[:, None] + np.arange(HORIZON)
        return usual_TS[rows_NH].transpose(0, 2, 1).reshape(len(windows), -1)

    return Forecaster(predict)


def ridge(parts: Split) -> Forecaster:
    """Ridge regression, its penalty the best on val of a few."""
    from sklearn.linear_model import Ridge
    from threadpoolctl import ThreadpoolController

    scale, near = TrafficScale.of(parts), _nearest(parts)
    train, val = parts.windows["train"], parts.windows["val"]
    sensors = train.readings.values_TS.shape[1]
    target_NSH = train.target_NO.reshape(len(train), sensors, HORIZON)
    features = [_features(train, scale, near, sensor) for sensor in range(sensors)]
    centre = [(x_NF.mean(0), np.where(x_NF.std(0) > 0, x_NF.std(0), 1.0)) for x_NF in features]

    def fitted(penalty: float) -> np.ndarray:
        """Weights of each sensor and step, the bias last, (S, H, F + 1)."""
        weights = np.zeros((sensors, HORIZON, features[0].shape[1] + 1))
        for sensor, (x_NF, (mean_F, std_F)) in enumerate(zip(features, centre, strict=True)):
            known_NH, scaled_NF = np.isfinite(target_NSH[:, sensor]), (x_NF - mean_F) / std_F
            for steps, rows_N in _alike(known_NH):
                made = Ridge(alpha=penalty).fit(scaled_NF[rows_N], target_NSH[rows_N, sensor][:, steps])
                weights[sensor, steps] = np.column_stack([np.atleast_2d(made.coef_), np.atleast_1d(made.intercept_)])
        return weights

    def predicted(windows: Windows, weights: np.ndarray) -> np.ndarray:
        made = []
        for sensor, (mean_F, std_F) in enumerate(centre):
            x_NF = (_features(windows, scale, near, sensor) - mean_F) / std_F
            made.append(x_NF @ weights[sensor, :, :-1].T + weights[sensor, :, -1])
        return np.concatenate(made, axis=1)

    with ThreadpoolController().limit(limits=1):  # thousands of small systems: threads cost more than they bring
        tried = {penalty: fitted(penalty) for penalty in _PENALTIES}
    errors = {
        penalty: value_of(METRICS[0].measure, predicted(val, weights)[None], val.target_NO)
        for penalty, weights in tried.items()
    }
    best = min(errors, key=errors.__getitem__)
    return Forecaster(lambda windows: predicted(windows, tried[best]), {"penalty": best})


def _alike(known_NH: np.ndarray) -> list[tuple[list[int], np.ndarray]]:
    """Steps with the windows in which they are known: all at once where each is known in all."""
    if known_NH.all():
        return [(list(range(HORIZON)), np.ones(len(known_NH), bool))]
    return [([step], known_NH[:, step]) for step in range(HORIZON) if known_NH[:, step].any()]


def _nearest(parts: Split) -> list[list[int]]:
    """Of each sensor, those beside it: by adjacency where there is one, else by how alike they read in training."""
    near_SS = parts.readings.adjacency_SS
    if near_SS is None:
        values_TS = np.nan_to_num(parts.train_values_TS, nan=float(np.nanmean(parts.train_values_TS)))
        with np.errstate(divide="ignore", invalid="ignore"):
            near_SS = np.nan_to_num(np.corrcoef(values_TS.T))
    # No sensor is its own neighbour, however near it is to itself.
    near_SS = np.maximum(near_SS, near_SS.T) - 10.0 * np.eye(len(near_SS))
    return np.argsort(-near_SS, axis=1, kind="stable")[:, : min(_NEIGHBOURS, len(near_SS) - 1)].tolist()


def _features(windows: Windows, scale: TrafficScale, near: list[list[int]], sensor: int) -> np.ndarray:
    """What ridge reads of a sensor's windows, (N, F)."""
    origin_N, filled_TS = windows.origin_N, _filled(windows, scale)
    # A lag before the first row would count from the end of the table, which is the future.
    lags = min(_LAGS, int(origin_N.min()))
    usual_TS = scale.target.std * scale.usual_TS(windows.readings) + scale.target.mean
    own = [filled_TS[origin_N - lag, sensor] for lag in range(1, lags + 1)]
    others = [filled_TS[origin_N - lag, other] for other in near[sensor] for lag in range(1, _NEIGHBOUR_LAGS + 1)]
    then = [usual_TS[origin_N + step, sensor] for step in (0, HORIZON // 2, HORIZON - 1)]
    return np.column_stack([*own, *others, *then, windows.readings.clock_T4[origin_N]]).astype(np.float64)


def _filled(windows: Windows, scale: TrafficScale) -> np.ndarray:
    filled_TS = windows.readings.filled_TS
    return np.where(np.isfinite(filled_TS), filled_TS, scale.usual_MS.mean(0))


METHODS: Mapping[str, Callable[[Split], Forecaster]] = {
    "last_value": last_value,
    "time_of_day": time_of_day,
    "ridge": ridge,
}


@dataclass(frozen=True)
class Measured:
    """A baseline on the test windows.

    Attributes:
        name: Of the method.
        scores: Every metric.
        predicted_NO: Its forecasts.
        seconds: That it took.
        facts: Of the fit.
    """

    name: str
    scores: dict[str, float]
    predicted_NO: np.ndarray
    seconds: float
    facts: dict[str, Any]


def measured(parts: Split, names: tuple[str, ...] = tuple(METHODS)) -> list[Measured]:
    """Baselines, fitted on train and measured on test."""
    found, test = [], parts.windows["test"]
    for name in names:
        began = time.perf_counter()
        made = METHODS[name](parts)
        predicted_NO = made.predict(test).astype(np.float32)
        seconds = time.perf_counter() - began
        scores = {metric.name: value_of(metric.measure, predicted_NO[None], test.target_NO) for metric in METRICS}
        found.append(Measured(name, scores, predicted_NO, seconds, made.facts))
    return found
