"""Proposals that learn from partial curves; see `parzen` for how."""

from collections.abc import Sequence

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.parzen import CANDIDATES, Seen, most_promising
from spectral_search.strategy.proposer import Proposer
from spectral_search.strategy.rule import rule_of
from spectral_search.strategy.space_points import Params, searched_domains
from spectral_search.strategy.untried_points import UntriedPoints
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric


class ParzenProposer(Proposer):
    """The most promising of some random points that no trial has had; a random one as long as too few are known."""

    def __init__(self, spec: RunSpec, metric: Metric) -> None:
        super().__init__(spec, metric)
        self._domains, self._untried, self._rule = searched_domains(spec), UntriedPoints(spec), rule_of(spec)

    def propose(self, history: History) -> Params | None:
        seed = counter_seed(self.spec.search.seed, "proposal", len(history.trials), 0)
        known = [seen(trial, self._rule.rungs(trial.epochs), self.metric) for trial in history.trials]
        if enough(known, self.spec.search.startup_trials):
            candidates = self._untried.some(history, CANDIDATES, seed)
            if candidates:
                return candidates[most_promising(self._domains, known, candidates)]
        return self._untried.one(history, seed)


def seen(trial: Trial, rungs: Sequence[int], metric: Metric) -> Seen:
    """How far a trial came, and its best at the last rung it reached.

    Args:
        trial: The trial.
        rungs: Epochs after which it may be stopped; without any its best so far counts.
        metric: What its values are of.
    """
    if trial.came_to_nothing:
        return Seen(trial.params, -1)
    if not rungs:
        return Seen(trial.params, int(bool(trial.values)), trial.gain(metric))
    reached = [rung for rung in rungs if rung <= len(trial.values)]
    return Seen(trial.params, len(reached), trial.gain(metric, reached[-1])) if reached else Seen(trial.params, 0)


def enough(known: Sequence[Seen], startup_trials: int) -> bool:
    """Whether so many trials have reached a rung, or failed, that proposals can learn from them."""
    return sum(trial.rungs != 0 for trial in known) >= startup_trials


PROPOSER = ParzenProposer
