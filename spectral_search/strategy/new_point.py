"""A proposal that no trial has had and that lies nowhere paused, whoever proposes."""

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.grid_proposer import GridProposer
from spectral_search.strategy.history import History
from spectral_search.strategy.proposer import proposer_of
from spectral_search.strategy.space_points import Params, point_key
from spectral_search.strategy.untried_points import TriedPoints, UntriedPoints
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric


class NewPoints:
    """Asks the proposer of a search. One that repeats itself, or knows of no pauses, is answered for.

    Args:
        spec: The search.
        metric: What it looks for the best of.
    """

    def __init__(self, spec: RunSpec, metric: Metric) -> None:
        self._spec, self._metric = spec, metric
        self._proposer, self._tried = proposer_of(spec, metric), TriedPoints()

    def propose(self, history: History) -> Params | None:
        """Parameters of the next trial; None where the space holds no more."""
        params = self._proposer.propose(history)
        if params is None or not (point_key(params) in self._tried.points(history) or history.refuses(params)):
            return params
        if self._spec.search.exhaustive:
            return GridProposer(self._spec, self._metric).propose(history)
        return UntriedPoints(self._spec).one(history, counter_seed(self._spec.search.seed, "new", len(history.trials)))
