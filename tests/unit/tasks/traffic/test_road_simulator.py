"""The simulated road network: as asked for, the same for the same seed, and with something in it to be learnt."""

import numpy as np
import pytest

from spectral_search.tasks.traffic.road_simulator import simulate_roads


def test_it_is_as_large_as_asked_for() -> None:
    readings = simulate_roads(days=3, roads=2, sensors_a_road=4, missing=0.1)
    assert readings.values_TS.shape == (3 * 288, 8) and len(readings.sensors) == 8
    assert np.isnan(readings.values_TS).mean() == pytest.approx(0.1, abs=0.02)
    assert readings.values_TS.dtype == np.float32
    assert 3.0 <= np.nanmin(readings.values_TS) < 25.0 < 60.0 < np.nanmax(readings.values_TS) <= 75.0


def test_all_follows_from_the_seed() -> None:
    first, again, other = (simulate_roads(days=2, seed=seed).values_TS for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_working_days_are_slower_at_rush_hour_than_by_night() -> None:
    readings = simulate_roads(days=2)
    hour_T = readings.minute_T / 60
    speed_T = np.nanmean(readings.values_TS, axis=1)
    rush = speed_T[(np.abs(hour_T - 8) < 1) | (np.abs(hour_T - 17.5) < 1)].mean()
    assert rush < speed_T[hour_T < 4].mean() - 5.0


def test_sensors_of_a_road_are_near_each_other() -> None:
    adjacency_SS = simulate_roads(days=1, roads=2, sensors_a_road=3).adjacency_SS
    assert adjacency_SS is not None
    np.testing.assert_array_equal(adjacency_SS, adjacency_SS.T)
    assert (np.diag(adjacency_SS) == 1.0).all()
    assert adjacency_SS[0, 1] > adjacency_SS[0, 2] > 0.0 == adjacency_SS[2, 5]
