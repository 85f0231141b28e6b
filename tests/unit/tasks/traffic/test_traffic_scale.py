"""What readings are standardised by, and what sensors usually read, is learnt from the training time alone."""

from dataclasses import replace

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.traffic.readings import MONDAY, Readings, split
from spectral_search.tasks.traffic.road_simulator import simulate_roads
from spectral_search.tasks.traffic.section import TrafficData
from spectral_search.tasks.traffic.traffic_scale import TrafficScale, usual


def test_val_and_test_have_no_say_in_it() -> None:
    readings = simulate_roads(days=4, roads=1)
    later_TS = readings.values_TS.copy()
    later_TS[int(0.7 * len(later_TS)) :] *= 3.0
    first, second = (
        TrafficScale.of(split(given, TrafficData(), 12)) for given in (readings, replace(readings, values_TS=later_TS))
    )
    assert first.target == second.target
    np.testing.assert_array_equal(first.usual_MS, second.usual_MS)


def test_it_comes_back_from_arrays() -> None:
    scale = TrafficScale.of(split(simulate_roads(days=4, roads=1), TrafficData(), 12))
    again = TrafficScale.from_arrays(scale.to_arrays())
    assert again.target == scale.target
    np.testing.assert_array_equal(again.adjacency_SS, scale.adjacency_SS)


def test_the_usual_reading_is_the_mean_about_a_time_of_day() -> None:
    minute_T = np.tile(np.arange(0, 1440, 30), 2)
    values_TS = np.stack([minute_T / 60.0, np.full(96, np.nan)], axis=1).astype(np.float32)
    values_TS[:48, 0] += 2.0
    values_TS[3, 1] = 7.0
    usual_MS = usual(values_TS, minute_T, 30)
    np.testing.assert_allclose(usual_MS[:, 0], np.arange(48) / 2 + 1.0, rtol=1e-6)
    assert usual_MS[3, 1] == usual_MS[20, 1] == 7.0  # what it read at all, where it read nothing then


def test_usual_readings_of_a_later_step() -> None:
    readings = simulate_roads(days=4, roads=1)
    scale = TrafficScale.of(split(readings, TrafficData(), 12))
    usual_TS = scale.usual_TS(readings, later=12)
    np.testing.assert_array_equal(usual_TS[:-12], scale.usual_TS(readings)[12:])


def test_readings_that_never_change_are_refused() -> None:
    flat = Readings(np.full((300, 2), 5.0, np.float32), ("a", "b"), MONDAY, 5)
    with pytest.raises(RequestError, match="do not vary"):
        TrafficScale.of(split(flat, TrafficData(), 12))
