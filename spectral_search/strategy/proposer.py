"""Proposers: what is tried next.

A proposer is an object of a module `NAME_proposer.py` (see `spec.name_registry`). A proposal is a function of the seed
and of the history and of nothing else, so that a resumed search goes on as the uninterrupted one would have.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from spectral_search.spec.name_registry import PROPOSERS
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History
from spectral_search.strategy.space_points import Params
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of


class Proposer(ABC):
    """Proposes one trial after the other.

    Args:
        spec: The search.
        metric: What it looks for the best of.

    Attributes:
        exhaustive: Whether it tries the points of the spec's grid, each once, and nothing of its space: what plans,
            which make no proposer, ask by `search.exhaustive`.
    """

    exhaustive: ClassVar[bool] = False

    def __init__(self, spec: RunSpec, metric: Metric) -> None:
        self.spec, self.metric = spec, metric

    @abstractmethod
    def propose(self, history: History) -> Params | None:
        """Parameters of trial number len(history.trials); None where the space holds no more."""


def proposer_of(spec: RunSpec, metric: Metric | None = None) -> Proposer:
    """The proposer of a search, by the objective of its task where no metric is given.

    Raises:
        RequestError: Nothing has the name that it gives.
    """
    made: Proposer = PROPOSERS.find(spec.search.sampler)(spec, metric or task_of(spec.task).objective)
    return made
