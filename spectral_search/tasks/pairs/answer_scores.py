"""What answers are worth that come as logits: above 0 means the same.

Shape suffixes: D draws, N pairs, K methods, R samples of the pairs.
"""

from abc import ABC, abstractmethod

import numpy as np

from spectral_search.task.measure import MEAN_ABSOLUTE_ERROR, value_of


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
            return np.logaddexp(0.0, np.where(same_N, -logit_DN, logit_DN))


def probability(logit_N: np.ndarray) -> np.ndarray:
    """That both images show the same."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logit_N, np.float64)))
