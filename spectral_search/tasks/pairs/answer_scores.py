"""What answers are worth that come as logits: above 0 means the same.

Shape suffixes: D draws, N pairs, K methods, R samples of the pairs.
"""

from abc import ABC, abstractmethod

import numpy as np

from spectral_search.task.measure import MEAN_ABSOLUTE_ERROR, Ranked, value_of


class MeanOverPairs(ABC):
    """A mean of what each pair adds, see `task.measure.Measure`."""

    columns = staticmethod(MEAN_ABSOLUTE_ERROR.columns)
    of_sums = staticmethod(MEAN_ABSOLUTE_ERROR.of_sums)

    @abstractmethod
    def of_each(self, logit_DN: np.ndarray, same_N: np.ndarray) -> np.ndarray:
        """What each pair adds in each draw, of shape (D, N), NaN where the logit is none."""

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        logit_DN = np.atleast_2d(np.asarray(predicted_DN, np.float64))
        return np.mean(self.of_each(logit_DN, np.asarray(target_N) > 0.5), axis=0)

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        return [value_of(self, predicted_N, target_N) for predicted_N in np.atleast_2d(predicted_DN)]


class Accuracy(MeanOverPairs):
    """The part of the pairs that is judged rightly; a logit of exactly 0 says that they differ."""

    def of_each(self, logit_DN: np.ndarray, same_N: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(logit_DN), np.nan, (logit_DN > 0.0) == same_N)


class LogLoss(MeanOverPairs):
    """The mean of -log of the probability that the right answer was given, in nats."""

    def of_each(self, logit_DN: np.ndarray, same_N: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # a logit that is none
            # The exponential alone would overflow where a wrong answer is given with certainty.
            return np.logaddexp(0.0, np.where(same_N, -logit_DN, logit_DN))


class AreaUnderCurve(Ranked):
    """How often a pair of the same gets a higher logit than one of different things; equal logits count half."""

    def of_times(self, error_NK: np.ndarray, target_N: np.ndarray, times_RN: np.ndarray) -> np.ndarray:
        same_N = np.asarray(target_N) > 0.5
        return np.column_stack([_area(logit_N, same_N, times_RN) for logit_N in error_NK.T])


def _area(logit_N: np.ndarray, same_N: np.ndarray, times_RN: np.ndarray) -> np.ndarray:
    """Of one method, for each row of how often pairs count; (R,), NaN where one of both answers is missing."""
    if np.isnan(logit_N).any():
        return np.full(len(times_RN), np.nan)
    order_N = np.argsort(logit_N, kind="stable")
    starts = np.flatnonzero(np.diff(logit_N[order_N], prepend=np.nan))  # of equal logits; the first differs from NaN
    times_RN = np.asarray(times_RN, np.float64)[:, order_N]
    same_RG, other_RG = (
        np.add.reduceat(times_RN * of_N, starts, axis=1) for of_N in (same_N[order_N], ~same_N[order_N])
    )
    # The area is Mann and Whitney's U, divided by the number of pairs of a same and a different one.
    below_RG = np.cumsum(other_RG, axis=1) - other_RG
    with np.errstate(invalid="ignore"):
        return ((below_RG + 0.5 * other_RG) * same_RG).sum(1) / (same_RG.sum(1) * other_RG.sum(1))


def probability(logit_N: np.ndarray) -> np.ndarray:
    """That both images show the same."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logit_N, np.float64)))
