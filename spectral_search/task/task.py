"""What a task is to the core."""

from collections.abc import Sequence
from dataclasses import dataclass

from spectral_search.task.metric import Metric


@dataclass(frozen=True)
class Task:
    """A kind of data with what is to be learnt of them.

    Attributes:
        name: As specs name it.
        metrics: What its predictions are measured by; the first is the objective.
    """

    name: str
    metrics: Sequence[Metric]

    @property
    def objective(self) -> Metric:
        """What searches look for the best of, on the val set."""
        return self.metrics[0]
