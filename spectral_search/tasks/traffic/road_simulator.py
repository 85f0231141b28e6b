"""A small road network that does not exist: sensors along roads, rush hours, incidents, gaps in what is recorded.

Speeds, in miles an hour, come from a load between 0 and 1 at each sensor: two rush hours of a working day, of other
strength and hour at each road, a slow random part that roads share, and incidents, whose queue grows against the
direction of the traffic. What is learnable is thus in the past of a sensor, of its neighbours, and in the time of day.

Shape suffixes: T steps of time, S sensors.
"""

import numpy as np

from spectral_search.tasks.traffic.readings import DAY_MINUTES, Readings

_FREE_SPEED, _JAM_SPEED = 65.0, 12.0
"""Without anybody else, and in a standing queue."""
_THURSDAY = 3
"""Days after Monday."""
_QUEUE_STEPS = 2
"""Steps that a queue takes from one sensor to the one before it."""
_INCIDENTS_A_DAY = 2.0
"""On each road."""


def simulate_roads(
    days: int = 7, roads: int = 4, sensors_a_road: int = 3, missing: float = 0.05, seed: int = 0, step_minutes: int = 5
) -> Readings:
    """Readings of some days, beginning on a Thursday: the end of a week, which is the test time, is two working days.

    Args:
        days: How long.
        roads: How many.
        sensors_a_road: Along each, downstream first.
        missing: Part of the readings that are not there: half of it single ones, half whole hours of a sensor.
        seed: All follows from it.
        step_minutes: From one row to the next.
    """
    draws = np.random.default_rng(seed)
    steps, sensors = days * DAY_MINUTES // step_minutes, roads * sensors_a_road
    hour_T = np.arange(steps) * step_minutes / 60.0
    load_TS = np.concatenate([_road(hour_T, sensors_a_road, step_minutes, draws) for _ in range(roads)], axis=1)
    speed_TS = _JAM_SPEED + (_FREE_SPEED - _JAM_SPEED) / (1.0 + np.exp(9.0 * (load_TS - 0.62)))
    speed_TS += draws.normal(0.0, 1.5, speed_TS.shape)
    values_TS = np.clip(speed_TS, 3.0, 75.0).astype(np.float32)
    values_TS[_gaps(steps, sensors, missing, step_minutes, draws)] = np.nan
    names = tuple(f"road{road}_{place}" for road in range(roads) for place in range(sensors_a_road))
    start = np.datetime64("2024-01-04T00:00", "m")
    return Readings(values_TS, names, start, step_minutes, _adjacency(roads, sensors_a_road))


def _road(hour_T: np.ndarray, sensors: int, step_minutes: int, draws: np.random.Generator) -> np.ndarray:
    """The load at the sensors of a road."""
    working_T = ((hour_T // 24 + _THURSDAY) % 7 < 5).astype(float)
    day_T, load_T = hour_T % 24, np.full(len(hour_T), 0.25)
    for hour, strength in ((8.0, draws.uniform(0.2, 0.5)), (17.5, draws.uniform(0.2, 0.5))):
        peak = hour + draws.uniform(-0.75, 0.75)
        by_day_T = draws.normal(1.0, 0.15, int(hour_T[-1] // 24) + 1)[(hour_T // 24).astype(int)]
        load_T += working_T * by_day_T * strength * np.exp(-0.5 * ((day_T - peak) / 1.1) ** 2)
    load_T += 0.1 * np.exp(-0.5 * ((day_T - 14.0) / 3.0) ** 2) + 0.05 * _slow(len(hour_T), 24, draws)
    load_TS = load_T[:, None] + draws.normal(0.0, 0.05, sensors) + 0.03 * _slow(len(hour_T), 6, draws)[:, None]
    for _ in range(draws.poisson(_INCIDENTS_A_DAY * hour_T[-1] / 24)):
        begin, length = draws.integers(0, len(hour_T)), draws.integers(20, 90) // step_minutes
        place, strength = draws.integers(0, sensors), draws.uniform(0.3, 0.7)
        for upstream in range(place, sensors):
            start = begin + _QUEUE_STEPS * (upstream - place)
            load_TS[start : start + length, upstream] += strength * 0.8 ** (upstream - place)
    return load_TS


def _slow(steps: int, memory: int, draws: np.random.Generator) -> np.ndarray:
    """Noise of spread 1 that forgets within so many steps."""
    keep, value_T = 1.0 - 1.0 / memory, np.empty(steps)
    value = draws.normal()
    for step, push in enumerate(draws.normal(0.0, np.sqrt(1.0 - keep**2), steps)):
        value = keep * value + push
        value_T[step] = value
    return value_T


def _gaps(steps: int, sensors: int, missing: float, step_minutes: int, draws: np.random.Generator) -> np.ndarray:
    gone_TS = draws.random((steps, sensors)) < missing / 2
    hour = max(1, 60 // step_minutes)
    for _ in range(round(missing / 2 * steps * sensors / hour)):
        start, sensor = draws.integers(0, steps), draws.integers(0, sensors)
        gone_TS[start : start + hour, sensor] = True
    return gone_TS


def _adjacency(roads: int, sensors: int) -> np.ndarray:
    """1 for a sensor itself, less for those before and after it; the first sensors of all roads meet."""
    place_S, road_S = np.tile(np.arange(sensors), roads), np.repeat(np.arange(roads), sensors)
    apart_SS = np.abs(place_S[:, None] - place_S).astype(float)
    other_SS = road_S[:, None] != road_S
    apart_SS[other_SS] = (place_S[:, None] + place_S + 2.0)[other_SS]
    near_SS = np.exp(-((apart_SS / 2.0) ** 2))
    return np.where(near_SS >= 0.1, near_SS, 0.0).astype(np.float32)
