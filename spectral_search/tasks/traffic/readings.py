"""Readings of sensors over time, and the windows of them that are examples.

Shape suffixes: T steps of time, S sensors, N windows, H steps to predict, O = S x H.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.traffic.section import HORIZON, TrafficData

DAY_MINUTES = 24 * 60
MONDAY = np.datetime64("2001-01-01T00:00", "m")
"""Stands for the first row of a table without times: only differences count then."""

_DEAD_SHARE = 0.95
"""A sensor that is missing more often than this says nothing worth having."""
_BLOCKS = 20
"""Of time in a part, those of one fold of cross-validation going together."""


@dataclass(frozen=True)
class Readings:
    """What sensors read, at equal steps.

    Attributes:
        values_TS: Float32; NaN where there is no reading.
        sensors: Their names.
        start: Time of the first row.
        step_minutes: From one row to the next.
        adjacency_SS: How near sensors are to each other, float32; None where nobody says.
        timed: Whether the times are real ones.
    """

    values_TS: np.ndarray
    sensors: tuple[str, ...]
    start: np.datetime64
    step_minutes: int
    adjacency_SS: np.ndarray | None = None
    timed: bool = True

    def __len__(self) -> int:
        return len(self.values_TS)

    @property
    def dead_sensors(self) -> list[str]:
        """Names of those that are missing nearly always."""
        missing_S = np.isnan(self.values_TS).mean(axis=0)
        return [self.sensors[sensor] for sensor in np.flatnonzero(missing_S > _DEAD_SHARE)]

    @property
    def times_T(self) -> np.ndarray:
        """Of each row, datetime64 to the minute."""
        return self.start + np.arange(len(self)) * np.timedelta64(self.step_minutes, "m")

    @property
    def minute_T(self) -> np.ndarray:
        """Minutes since midnight."""
        since_T = self.times_T - self.times_T.astype("datetime64[D]")
        return since_T.astype("timedelta64[m]").astype(np.int64)

    @property
    def clock_T4(self) -> np.ndarray:
        """Sine and cosine of the time of day, then of that of the week, float32."""
        week_T = (self.times_T - MONDAY).astype("timedelta64[m]").astype(np.int64) % (7 * DAY_MINUTES)
        phases = (2 * np.pi * self.minute_T / DAY_MINUTES, 2 * np.pi * week_T / (7 * DAY_MINUTES))
        return np.stack([f(phase_T) for phase_T in phases for f in (np.sin, np.cos)], axis=1).astype(np.float32)

    @cached_property
    def filled_TS(self) -> np.ndarray:
        """Where a reading is missing the last one before it; NaN where there was none yet. Nothing comes from later."""
        # Row 0 stands for none yet: where it has no reading itself, it gives the NaN.
        row_TS = np.where(np.isfinite(self.values_TS), np.arange(len(self))[:, None], 0)
        return np.take_along_axis(self.values_TS, np.maximum.accumulate(row_TS, axis=0), axis=0)


@dataclass(frozen=True)
class Windows:
    """Examples: all that the sensors read in the hour from a row on, to be predicted from what they read before.

    Attributes:
        readings: Where they lie.
        origin_N: The first row that is to be predicted, of each.
    """

    readings: Readings
    origin_N: np.ndarray

    def __len__(self) -> int:
        return len(self.origin_N)

    @property
    def target_NO(self) -> np.ndarray:
        """What is to be predicted, sensor by sensor, of shape (N, S x H), NaN where there is no reading."""
        rows_NH = self.origin_N[:, None] + np.arange(HORIZON)
        return self.readings.values_TS[rows_NH].transpose(0, 2, 1).reshape(len(self), -1)

    @property
    def times_N(self) -> np.ndarray:
        """When the first step is that is to be predicted."""
        return self.readings.times_T[self.origin_N]

    def block_N2(self, rows: tuple[int, int]) -> np.ndarray:
        """The blocks of time that the first and the last predicted step of each lie in, int64 (N, 2).

        Windows that predict the same hour are alike, so that those of one block go together.

        Args:
            rows: Of the part: its first row and the row after its last.
        """
        start, end = rows
        length = max(HORIZON, -(-(end - start) // _BLOCKS))
        return np.stack([(self.origin_N + step - start) // length for step in (0, HORIZON - 1)], axis=1)


@dataclass(frozen=True)
class Split:
    """Time in parts, one after the other.

    Attributes:
        windows: By part: train, val, test.
        rows: The first row of each part and the row after its last.
        readings: Of all parts.
    """

    windows: Mapping[str, Windows]
    rows: Mapping[str, tuple[int, int]]
    readings: Readings

    @property
    def train_values_TS(self) -> np.ndarray:
        """All readings of the training time."""
        return self.readings.values_TS[slice(*self.rows["train"])]

    def sha256(self) -> dict[str, str]:
        """Of the readings of each part, and of the adjacency where there is one."""
        values_TS, adjacency_SS = self.readings.values_TS, self.readings.adjacency_SS
        known = {part: values_TS[slice(*rows)] for part, rows in self.rows.items()}
        if adjacency_SS is not None:
            known["adjacency"] = adjacency_SS
        return {part: sha256(np.ascontiguousarray(values).tobytes()).hexdigest() for part, values in known.items()}


def split(readings: Readings, data: TrafficData, history: int) -> Split:
    """Cut time into train, val and test; no window reaches over a border.

    Args:
        readings: All.
        data: How.
        history: Steps before its origin that a window holds.

    Raises:
        RequestError: A part is too short for a single window, or holds no reading.
    """
    steps = len(readings)
    # Rounded first: 0.7 + 0.1 is a little less than 0.8, and a row must not go by that.
    first, second = (int(round(steps * share, 6)) for share in (data.train_share, data.train_share + data.val_share))
    rows = {"train": (0, first), "val": (first, second), "test": (second, steps)}
    short = {part: end - start for part, (start, end) in rows.items() if end - start < history + HORIZON}
    if short:
        told = ", ".join(f"{part} has {count}" for part, count in short.items())
        raise RequestError(
            f"A window needs {history} steps of the past and {HORIZON} to predict, and {told}: give a longer "
            "table, or make data.input.steps smaller."
        )
    for part, (start, end) in rows.items():
        if not np.isfinite(readings.values_TS[start:end]).any():
            raise RequestError(f"All readings of {part} (rows {start:,} to {end:,}) are missing: give other data.")
    most = {"train": data.num_train, "val": data.num_val}
    windows = {
        part: Windows(readings, _spread(np.arange(start + history, end - HORIZON + 1), most.get(part)))
        for part, (start, end) in rows.items()
    }
    return Split(windows, rows, readings)


def _spread(origin_N: np.ndarray, most: int | None) -> np.ndarray:
    if most is None or len(origin_N) <= most:
        return origin_N
    return origin_N[np.linspace(0, len(origin_N) - 1, most).round().astype(np.int64)]
