"""How a metric is computed: what each example adds to it, and the number that sums over examples make.

A metric that is a function of sums can be computed of any part of the examples and of resampled ones at the cost of a
product of matrices, so every interval comes from here. Shape suffixes: D draws of the input, N examples, K methods,
C columns, R samples of the examples.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Measure(Protocol):
    """Turns predictions into a number by way of sums over examples."""

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        """What each example adds, averaged over its draws, which share its target; float64 (N,), NaN where unknown."""

    def columns(self, error_NK: np.ndarray, target_N: np.ndarray, part_N: np.ndarray) -> np.ndarray:
        """What is summed over the examples that count, 0 for all others; float64 (N, C)."""

    def of_sums(self, sums_RC: np.ndarray) -> np.ndarray:
        """The values that sums of `columns` make, (R, K); NaN where they make none."""

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        """The value of each draw alone."""


@dataclass(frozen=True)
class MeanError:
    """The mean over examples of |error|^power, and of that the root where it is asked for: MAE, MSE, RMSE."""

    power: int = 1
    root: bool = False

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        error_DN = np.abs(np.asarray(predicted_DN, np.float64) - np.asarray(target_N, np.float64)) ** self.power
        return np.mean(np.atleast_2d(error_DN), axis=0)

    def columns(self, error_NK: np.ndarray, target_N: np.ndarray, part_N: np.ndarray) -> np.ndarray:
        return np.column_stack([part_N, np.where(part_N[:, None], error_NK, 0.0)])

    def of_sums(self, sums_RC: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_RK = sums_RC[:, 1:] / sums_RC[:, :1]
        return np.sqrt(mean_RK) if self.root else mean_RK

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        return [value_of(self, predicted_N, target_N) for predicted_N in np.atleast_2d(predicted_DN)]


MEAN_ABSOLUTE_ERROR = MeanError()


def value_of(measure: Measure, predicted_DN: np.ndarray, target_N: np.ndarray) -> float:
    """The value of all predictions together."""
    error_N1 = measure.errors(predicted_DN, target_N)[:, None]
    columns_NC = measure.columns(error_N1, target_N, np.ones(len(error_N1), bool))
    return float(measure.of_sums(columns_NC.sum(0, keepdims=True))[0, 0])
