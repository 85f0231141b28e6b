"""What a task is to the core."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectral_search.task.measure import value_of
from spectral_search.task.metric import Metric


@dataclass(frozen=True)
class Task:
    """A kind of data with what is to be learnt of them.

    Attributes:
        name: As specs name it.
        metrics: What its predictions are measured by; the first is the objective.
        examples: What it learns from, in the plural: the word for people, and the key of their number in records.
        target: Names the column of what is to be predicted in tables of predictions.
        labels: The columns of such a table beside the prediction, `target` among them.
        selected_on: What of the val set selects trials, for people.
        retested_on: What the finalists are re-tested on, for people.
        training_target: What the training loss is of, for people.
    """

    name: str
    metrics: Sequence[Metric]
    examples: str = "examples"
    target: str = "target"
    labels: tuple[str, ...] = ("id", "target")
    selected_on: str = "the val set"
    retested_on: str = "fresh examples"
    training_target: str = ""

    @property
    def objective(self) -> Metric:
        """What searches look for the best of, on the val set."""
        return self.metrics[0]

    @property
    def predicted(self) -> str:
        """The column of a table that holds predictions of `target`."""
        return f"{self.target}_predicted"

    def scores(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> dict[str, float]:
        """Every metric of predictions, each by its name, of shapes (D, N) and (N,)."""
        return {metric.name: value_of(metric.measure, predicted_DN, target_N) for metric in self.metrics}

    def caveats(self, spec: Mapping[str, Any], params: Sequence[Mapping[str, Any]]) -> list[str]:
        """What keeps numbers of a search from being compared with others, a sentence each.

        Args:
            spec: The search, resolved, as plain values.
            params: Of each of its trials.
        """
        return []

    def reporting(self) -> object:
        """A `record.reporting.Reporting`, imported only when it is asked for; None adds nothing to reports."""
        return None
