"""The points of a grid, in order."""

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History
from spectral_search.strategy.proposer import Proposer
from spectral_search.strategy.space_points import Params
from spectral_search.task.metric import Metric


class GridProposer(Proposer):
    """Needs no history but its length."""

    exhaustive = True

    def __init__(self, spec: RunSpec, metric: Metric) -> None:
        super().__init__(spec, metric)
        self._points = spec.grid_points()

    def propose(self, history: History) -> Params | None:
        number = len(history.trials)
        return self._points[number] if number < len(self._points) else None


PROPOSER = GridProposer
