"""Windows of readings: what they hold, where they begin, and that none reaches over a border."""

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.tasks.traffic.readings import MONDAY, Readings, Windows, split
from spectral_search.tasks.traffic.section import HORIZON, TrafficData

NAN = np.nan


def counted(steps: int = 300, sensors: int = 2, step_minutes: int = 5) -> Readings:
    """Readings that say where they are: row + sensor / 10."""
    values_TS = np.arange(steps)[:, None] + np.arange(sensors) / 10
    return Readings(values_TS.astype(np.float32), tuple("ab"[:sensors]), MONDAY, step_minutes)


def test_a_target_holds_the_next_steps_sensor_by_sensor() -> None:
    target_NO = Windows(counted(), np.array([20, 30])).target_NO
    assert target_NO.shape == (2, 2 * HORIZON)
    np.testing.assert_allclose(target_NO[1], [*range(30, 42), *(row + 0.1 for row in range(30, 42))], rtol=1e-6)


@pytest.mark.parametrize("history", [12, 24])
def test_no_window_reaches_over_a_border(history: int) -> None:
    parts = split(counted(600), TrafficData(), history)
    for part, windows in parts.windows.items():
        start, end = parts.rows[part]
        assert windows.origin_N[0] - history == start and windows.origin_N[-1] + HORIZON == end
        assert (np.diff(windows.origin_N) == 1).all()


def test_parts_of_time_are_70_10_and_20_percent() -> None:
    parts = split(counted(1000), TrafficData(), 12)
    assert parts.rows == {"train": (0, 700), "val": (700, 800), "test": (800, 1000)}


def test_fewer_windows_are_spread_over_all_of_time() -> None:
    windows = split(counted(), TrafficData(num_train=5), 12).windows["train"]
    assert windows.origin_N.tolist() == [12, 58, 105, 152, 198]


def test_what_is_missing_is_filled_from_the_past_alone() -> None:
    values_TS = np.array([[NAN, 1.0], [5.0, NAN], [NAN, NAN], [7.0, 3.0]], np.float32)
    filled_TS = Readings(values_TS, ("a", "b"), MONDAY, 5).filled_TS
    np.testing.assert_array_equal(filled_TS, [[NAN, 1.0], [5.0, 1.0], [5.0, 1.0], [7.0, 3.0]])


def test_the_clock_tells_the_time_of_day_and_of_the_week() -> None:
    readings = counted(7 * 24 * 12 + 1)
    clock_T4 = readings.clock_T4
    np.testing.assert_allclose(clock_T4[0], [0, 1, 0, 1], atol=1e-6)  # Monday, midnight
    np.testing.assert_allclose(clock_T4[6 * 12, :2], [1, 0], atol=1e-6)  # six in the morning
    np.testing.assert_allclose(clock_T4[-1], clock_T4[0], atol=1e-5)  # a week later
    assert readings.minute_T[13] == 65


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        (counted(100), r"A window needs 12 steps of the past and 12 to predict, and val has 10, test has 20"),
        (Readings(np.where(np.arange(300)[:, None] < 240, 1.0, NAN), ("a",), MONDAY, 5), "All readings of test"),
    ],
)
def test_what_is_too_short_or_empty_is_refused(readings: Readings, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        split(readings, TrafficData(), 12)


def test_windows_that_predict_the_same_step_share_a_block_of_time() -> None:
    parts = split(counted(3000), TrafficData(), 12)
    windows, rows = parts.windows["val"], parts.rows["val"]
    block_N2 = windows.block_N2(rows)
    assert len(np.unique(block_N2)) == -(-(rows[1] - rows[0]) // max(HORIZON, -(-(rows[1] - rows[0]) // 20)))
    for apart in range(1, HORIZON):
        left_N2, right_N2 = block_N2[:-apart], block_N2[apart:]
        assert (left_N2[:, :, None] == right_N2[:, None]).any((1, 2)).all()
    assert not (block_N2[:-30, :, None] == block_N2[30:, None]).any((1, 2)).all()


def test_a_sensor_is_dead_that_is_missing_nearly_always() -> None:
    readings = counted(100)
    assert readings.dead_sensors == []
    readings.values_TS[:95, 0] = readings.values_TS[:96, 1] = NAN
    assert readings.dead_sensors == ["b"]
