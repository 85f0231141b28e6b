"""The points of a grid, in order."""

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History
from spectral_search.strategy.proposer import Proposer
from spectral_search.strategy.space_points import Params, point_key
from spectral_search.strategy.untried_points import TriedPoints
from spectral_search.task.metric import Metric


class GridProposer(Proposer):
    """Needs no history but what was tried and what is paused."""

    exhaustive = True

    def __init__(self, spec: RunSpec, metric: Metric) -> None:
        super().__init__(spec, metric)
        self._points, self._tried = spec.grid_points(), TriedPoints()
        # Made once: each proposal passes by all points that were tried.
        self._keys = [point_key(point) for point in self._points]

    def propose(self, history: History) -> Params | None:
        tried = self._tried.points(history)
        keyed = zip(self._keys, self._points, strict=True)
        return next((point for key, point in keyed if key not in tried and not history.refuses(point)), None)


PROPOSER = GridProposer
