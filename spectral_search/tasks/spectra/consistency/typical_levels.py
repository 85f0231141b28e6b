"""The typical level of positive numbers that may span decades, with its spread and its range, all as natural logs.

A unit multiplies a level and adds to its log, so that two levels are apart by a factor whatever their unit.
Shape suffixes: N numbers.
"""

import math
from dataclasses import dataclass

import numpy as np

_TRIMMED = 0.01
"""Part left out at each end of the numbers before their range is taken: a few odd spectra are no range."""
_TO_SIGMA = 1.4826
"""The standard deviation of normal numbers is so many times their median absolute deviation."""
_MEDIAN_ERROR = 1.2533
"""The standard error of a median of normal numbers is so many times that of their mean: sqrt(pi / 2)."""


@dataclass(frozen=True)
class Level:
    """Where positive numbers lie.

    Attributes:
        count: How many there are.
        median: Their typical log.
        spread: Robust standard deviation of their logs.
        low, high: Range of their logs without the outermost hundredth at each end.
    """

    count: int
    median: float
    spread: float
    low: float
    high: float

    @classmethod
    def of(cls, values_N: np.ndarray) -> "Level | None":
        """The level of the finite numbers above 0; None where there are none."""
        log_N = logs(values_N)
        if not len(log_N):
            return None
        median = float(np.median(log_N))
        low, high = np.quantile(log_N, (_TRIMMED, 1.0 - _TRIMMED))
        spread = _TO_SIGMA * float(np.median(np.abs(log_N - median)))
        return cls(len(log_N), median, spread, float(low), float(high))

    @property
    def value(self) -> float:
        """The typical number itself."""
        return math.exp(self.median)

    @property
    def standard_error(self) -> float:
        """Of the median, in logs."""
        return _MEDIAN_ERROR * self.spread / math.sqrt(self.count)

    def shift(self, other: "Level") -> float:
        """Log of how many times the other level this one is."""
        return self.median - other.median

    def shift_error(self, other: "Level") -> float:
        """Standard error of the shift between samples of one population: the larger spread counts for both."""
        return _MEDIAN_ERROR * max(self.spread, other.spread) * math.sqrt(1.0 / self.count + 1.0 / other.count)

    def gap(self, other: "Level") -> float:
        """Log of the factor between the nearer ends of the two ranges; 0 where they overlap."""
        return max(0.0, self.low - other.high, other.low - self.high)


def logs(values_N: np.ndarray) -> np.ndarray:
    """Natural logs (float64) of the finite numbers above 0."""
    wide_N = np.asarray(values_N, np.float64)
    return np.log(wide_N[np.isfinite(wide_N) & (wide_N > 0)])
