"""What an audit of readings finds, and that it finds nothing in sound ones."""

from dataclasses import replace

import numpy as np
import pytest

from spectral_search.tasks.traffic.readings import Readings, split
from spectral_search.tasks.traffic.road_simulator import simulate_roads
from spectral_search.tasks.traffic.section import TrafficData
from spectral_search.tasks.traffic.traffic_audit import audit_readings

SOUND = simulate_roads(days=3, roads=2)


def faults(values_TS: np.ndarray) -> list[str]:
    readings: Readings = replace(SOUND, values_TS=values_TS)
    found = audit_readings(split(readings, TrafficData(), 12))
    return [name for name, finding in found.items() if finding["fault"]]


def test_sound_readings_have_no_fault() -> None:
    assert faults(SOUND.values_TS) == []


@pytest.mark.parametrize("fault", ["dead sensors", "stuck sensors", "twin sensors", "missing", "negative readings"])
def test_each_fault_is_found_and_no_other(fault: str) -> None:
    values_TS = SOUND.values_TS.copy()
    match fault:
        case "dead sensors":
            values_TS[5:, 1] = np.nan
        case "stuck sensors":
            values_TS[100:200, 2] = 33.0
        case "twin sensors":
            values_TS[:, 3] = values_TS[:, 0]
        case "missing":
            values_TS[-170:-60] = np.nan
        case "negative readings":
            values_TS[7, 1] = -3.0
    assert faults(values_TS) == [fault]


def test_time_that_was_copied_is_found() -> None:
    values_TS = SOUND.values_TS.copy()
    values_TS[-170:] = values_TS[:170]
    assert faults(values_TS) == ["copied time"]
