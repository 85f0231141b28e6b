"""Statistics of the training time: what readings are standardised by, and what each sensor usually reads.

Shape suffixes: T steps of time, S sensors, M times of day.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.task.training import TargetScale
from spectral_search.tasks.traffic.readings import DAY_MINUTES, Readings, Split

_SMOOTHED_MINUTES = 30
"""What a sensor usually reads is the mean over so many minutes about a time of day."""


@dataclass(frozen=True)
class TrafficScale:
    """Of the training readings alone.

    Attributes:
        target: Mean and spread of all of them.
        usual_MS: What each sensor reads on average at a time of day, float32.
        adjacency_SS: How near sensors are to each other; zeros where nobody says.
    """

    target: TargetScale
    usual_MS: np.ndarray
    adjacency_SS: np.ndarray

    @classmethod
    def of(cls, parts: Split) -> "TrafficScale":
        """That of a split.

        Raises:
            RequestError: The training readings do not vary.
        """
        values_TS, readings = parts.train_values_TS, parts.readings
        std = float(np.nanstd(values_TS, dtype=np.float64))
        if not std > 0.0:
            raise RequestError("The readings of the training time do not vary: there is nothing to learn.")
        sensors = values_TS.shape[1]
        near_SS = np.zeros((sensors, sensors), np.float32) if readings.adjacency_SS is None else readings.adjacency_SS
        target = TargetScale(float(np.nanmean(values_TS, dtype=np.float64)), std)
        return cls(
            target, usual(values_TS, readings.minute_T[slice(*parts.rows["train"])], readings.step_minutes), near_SS
        )

    def usual_TS(self, readings: Readings, later: int = 0) -> np.ndarray:
        """What sensors usually read so many steps after each row, standardised."""
        minute_T = (readings.minute_T + later * readings.step_minutes) % DAY_MINUTES
        usual_TS = self.usual_MS[minute_T * len(self.usual_MS) // DAY_MINUTES]
        return ((usual_TS - self.target.mean) / self.target.std).astype(np.float32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        target = np.array([self.target.mean, self.target.std])
        return {"target": target, "usual": self.usual_MS, "adjacency": self.adjacency_SS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "TrafficScale":
        target = TargetScale(*(float(value) for value in arrays["target"]))
        return cls(target, arrays["usual"], arrays["adjacency"])


def usual(values_TS: np.ndarray, minute_T: np.ndarray, step_minutes: int) -> np.ndarray:
    """The mean of each sensor by time of day, smoothed; its mean of all times where it read nothing about then."""
    times = max(1, DAY_MINUTES // step_minutes)
    sum_MS, count_MS = np.zeros((times, values_TS.shape[1])), np.zeros((times, values_TS.shape[1]))
    place_T = minute_T * times // DAY_MINUTES
    known_TS = np.isfinite(values_TS)
    # Not +=, which adds once only where a place comes several times.
    np.add.at(sum_MS, place_T, np.where(known_TS, values_TS, 0.0))
    np.add.at(count_MS, place_T, known_TS)
    whole_S = np.where(count_MS.sum(0) > 0, sum_MS.sum(0) / np.maximum(count_MS.sum(0), 1), np.nanmean(values_TS))
    reach = min(_SMOOTHED_MINUTES // step_minutes // 2, (times - 1) // 2)
    # Rolled, for a day has no edge: on both sides of midnight the smoothing sees its neighbours.
    shifts = range(-reach, reach + 1)
    sum_MS, count_MS = (np.sum([np.roll(k, shift, axis=0) for shift in shifts], axis=0) for k in (sum_MS, count_MS))
    return np.where(count_MS > 0, sum_MS / np.maximum(count_MS, 1), whole_S).astype(np.float32)
