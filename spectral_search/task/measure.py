"""How a metric is computed: what each example adds to it, and the number that sums over examples make.

A metric that is a function of sums can be computed of any part of the examples and of resampled ones at the cost of a
product of matrices, so every interval comes from here. One that compares examples with each other, as ranks do, is told
how often each counts instead (`Ranked`). Shape suffixes: D draws of the input, N examples, O outputs of
an example, K methods, C columns, R samples of the examples.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Measure(Protocol):
    """Turns predictions into a number by way of sums over examples.

    Where neighbouring examples tell the same, as windows of time that overlap do, it has an attribute `together`: how
    many neighbours are drawn as one in samples of the examples, see `drawn_together`.
    """

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        """What each example adds, averaged over its draws, which share its target; float64 (N,), NaN where unknown."""

    def columns(self, error_NK: np.ndarray, target_N: np.ndarray, part_N: np.ndarray) -> np.ndarray:
        """What is summed over the examples that count, 0 for all others; float64 (N, C)."""

    def of_sums(self, sums_RC: np.ndarray) -> np.ndarray:
        """The values that sums of `columns` make, (R, K); NaN where they make none."""

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        """The value of each draw alone."""


class Ranked(ABC):
    """Turns predictions into a number that sums over examples do not make: examples are compared with each other.

    Of several draws, the mean prediction of each example is compared.
    """

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        """What each example is compared by, float64 (N,)."""
        return np.mean(np.atleast_2d(np.asarray(predicted_DN, np.float64)), axis=0)

    @abstractmethod
    def of_times(self, error_NK: np.ndarray, target_N: np.ndarray, times_RN: np.ndarray) -> np.ndarray:
        """The values where each example counts so many times, (R, K); NaN where they make none."""

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        """The value of each draw alone."""
        return [value_of(self, predicted_N, target_N) for predicted_N in np.atleast_2d(predicted_DN)]


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


@dataclass(frozen=True)
class MaskedError:
    """The mean over all known outputs of all examples of |error|^power, of several outputs an example.

    A target that is NaN is not known and counts nowhere; an example counts by how many of its outputs are known.

    Attributes:
        power: Of the error.
        root: Whether the root of the mean is taken.
        relative: Whether errors are parts of their target, in percent; targets of 0 are then not known.
        step: Which output of each row is measured, counted from 0; all where absent.
        row: Outputs of a row: those of an example lie row by row.
        together: Neighbouring examples that are drawn as one, see `Measure`.
    """

    power: int = 1
    root: bool = False
    relative: bool = False
    step: int | None = None
    row: int = 1
    together: int = 1

    def chosen(self, values: np.ndarray) -> np.ndarray:
        """The outputs that are measured, (..., O) of shape (..., all)."""
        return values if self.step is None else values[..., self.step :: self.row]

    def known(self, target_NO: np.ndarray) -> np.ndarray:
        """Which outputs count, bool of the shape of the target."""
        return np.isfinite(target_NO) & (target_NO != 0.0) if self.relative else np.isfinite(target_NO)

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        """The mean over the known outputs of each example and over its draws, (N,); 0 where none is known.

        A prediction that is not finite where the target is known makes the error of its example NaN.
        """
        target_NO = self.chosen(np.asarray(target_N, np.float64))
        predicted_DNO = self.chosen(np.asarray(predicted_DN)).reshape(-1, *target_NO.shape)
        known_NO = self.known(target_NO)
        against_NO = np.where(known_NO, target_NO, 1.0)
        sum_N = np.zeros(len(target_NO))
        for predicted_NO in predicted_DNO:
            # Where nothing is known it is compared with itself: a mask multiplied in would keep a prediction of NaN.
            error_NO = np.abs(np.where(known_NO, predicted_NO, against_NO) - against_NO)
            if self.relative:
                error_NO *= 100.0 / np.abs(against_NO)
            sum_N += (error_NO**self.power).sum(1)
        return sum_N / (len(predicted_DNO) * np.maximum(known_NO.sum(1), 1))

    def columns(self, error_NK: np.ndarray, target_N: np.ndarray, part_N: np.ndarray) -> np.ndarray:
        """Known outputs, and the sums of their errors."""
        count_N = np.where(part_N, self.known(self.chosen(np.asarray(target_N))).sum(1), 0)
        return np.column_stack([count_N, np.where(count_N[:, None] > 0, error_NK, 0.0) * count_N[:, None]])

    def of_sums(self, sums_RC: np.ndarray) -> np.ndarray:
        return MeanError(root=self.root).of_sums(sums_RC)

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        predicted_DNO = np.asarray(predicted_DN).reshape(-1, *np.shape(target_N))
        return [value_of(self, predicted_NO, target_N) for predicted_NO in predicted_DNO]


def drawn_together(measure: "Measure | Ranked") -> int:
    """How many neighbouring examples samples draw as one."""
    return int(getattr(measure, "together", 1))


def value_of(measure: Measure | Ranked, predicted_DN: np.ndarray, target_N: np.ndarray) -> float:
    """The value of all predictions together."""
    error_N1 = measure.errors(predicted_DN, target_N)[:, None]
    if isinstance(measure, Ranked):
        return float(measure.of_times(error_N1, target_N, np.ones((1, len(error_N1))))[0, 0])
    columns_NC = measure.columns(error_N1, target_N, np.ones(len(error_N1), bool))
    return float(measure.of_sums(columns_NC.sum(0, keepdims=True))[0, 0])
