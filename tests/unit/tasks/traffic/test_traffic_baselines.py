"""What networks must beat: each baseline says what it should, learns from training alone and masks what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from spectral_search.tasks.traffic.readings import MONDAY, Readings, Split, split
from spectral_search.tasks.traffic.road_simulator import simulate_roads
from spectral_search.tasks.traffic.section import HORIZON, TrafficData
from spectral_search.tasks.traffic.traffic_baselines import METHODS, last_value, measured, ridge, time_of_day


def parts_of(readings: Readings) -> Split:
    return split(readings, TrafficData(), 12)


ROADS = parts_of(simulate_roads(days=5, roads=1))


def test_the_last_value_is_the_last_that_was_read() -> None:
    test = ROADS.windows["test"]
    forecast_NSH = last_value(ROADS).predict(test).reshape(len(test), -1, HORIZON)
    assert (forecast_NSH == forecast_NSH[:, :, :1]).all()
    np.testing.assert_array_equal(forecast_NSH[:, :, 0], test.readings.filled_TS[test.origin_N - 1])


def test_the_usual_reading_goes_by_the_time_of_each_step() -> None:
    minute_T = (np.arange(4 * 288) * 5) % 1440
    readings = Readings((20.0 + minute_T[:, None] / 60).astype(np.float32), ("a",), MONDAY, 5)
    parts = parts_of(readings)
    test = parts.windows["test"]
    apart_NO = time_of_day(parts).predict(test) - test.target_NO
    inner = (minute_T[test.origin_N] > 60) & (minute_T[test.origin_N] < 1300)  # smoothing blurs midnight
    assert np.abs(apart_NO[inner]).max() < 0.05


def test_ridge_learns_what_is_linear() -> None:
    draws = np.random.default_rng(0)
    values_TS = np.empty((1500, 2))
    values_TS[:2] = draws.normal(size=(2, 2))
    for row in range(2, 1500):
        values_TS[row] = 0.95 * values_TS[row - 1, ::-1] + draws.normal(0, 0.1, 2)
    values_TS[draws.random(values_TS.shape) < 0.05] = np.nan
    parts = parts_of(Readings((50 + values_TS).astype(np.float32), ("a", "b"), MONDAY, 5))
    test = parts.windows["test"]

    def first_step(forecast_NO: np.ndarray) -> float:
        return float(np.nanmean(np.abs(forecast_NO - test.target_NO)[:, ::HORIZON]))

    assert first_step(ridge(parts).predict(test)) < 0.13  # the mean of |N(0, 0.1)| is 0.08
    assert first_step(last_value(parts).predict(test)) > 0.2


@pytest.mark.parametrize("name", METHODS)
def test_what_is_to_be_predicted_has_no_say(name: str) -> None:
    origin = int(ROADS.windows["test"].origin_N[-1])
    later_TS = ROADS.readings.values_TS.copy()
    later_TS[origin:] = 1.0
    other = parts_of(replace(ROADS.readings, values_TS=later_TS))
    first, second = (METHODS[name](parts).predict(parts.windows["test"])[-1] for parts in (ROADS, other))
    np.testing.assert_allclose(first, second)


def test_every_method_is_measured_by_every_metric() -> None:
    found = measured(ROADS)
    assert [one.name for one in found] == ["last_value", "time_of_day", "ridge"]
    assert all({"mae", "mae_60", "rmse_15"} <= set(one.scores) and np.isfinite(one.predicted_NO).all() for one in found)
