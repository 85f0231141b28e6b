"""Search strategies replayed on recorded learning curves, epoch by epoch, with the search's own code.

Proposals come from a proposer, or from a recorded pool by the same densities, and stops from a rule, as in a run; what
a trial would have come to is looked up. On a grid a proposal stands for the recorded configuration next to it that no
trial has had: in a run it would be a new one, here it would be the very same curve again. A trace gives the best val R2
after each epoch spent.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from benchmarks.recorded_curves import Curves
from benchmarks.recorded_tasks import RecordedTask
from spectral_search.spec.name_registry import RULES
from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.history import History, Trial
from spectral_search.strategy.parzen import CANDIDATES, most_promising
from spectral_search.strategy.parzen_proposer import enough, seen
from spectral_search.strategy.proposer import Proposer, proposer_of
from spectral_search.strategy.rule import Rule, rule_of
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric

Trace = np.ndarray
Strategy = Callable[[Curves, int], Trace]
_VALUE = Metric("value", "value", higher_is_better=True)
"""What curves are recorded of."""


@dataclass
class Replayed:
    """A trial of a replay.

    Attributes:
        place: Of its configuration among the recorded ones.
        known: What a search would know of it.
    """

    place: int
    known: Trial

    @property
    def epoch(self) -> int:
        return len(self.known.values)


class Placed(Protocol):
    """What the next trial is."""

    def propose(self, history: History, taken: list[int]) -> tuple[dict[str, Any], int] | None:
        """The parameters of a new trial and the place of its curve, which none has had; None when there is none."""


class OnGrid:
    """A proposer, each of whose proposals stands for the recorded configuration next to it."""

    def __init__(self, curves: Curves, proposer: Proposer) -> None:
        self._curves, self._proposer = curves, proposer

    def propose(self, history: History, taken: list[int]) -> tuple[dict[str, Any], int] | None:
        params = self._proposer.propose(history)
        return None if params is None else (params, self._curves.nearest(params, set(taken)))


class InPool:
    """Configurations of a recorded pool, at random or by `parzen`, as it draws points of a finite space."""

    def __init__(self, task: RecordedTask, search: SearchSpec, rule: Rule) -> None:
        self._task, self._search, self._rungs = task, search, rule.rungs(task.epochs)

    def propose(self, history: History, taken: list[int]) -> tuple[dict[str, Any], int] | None:
        left = [place for place in range(len(self._task.params)) if place not in set(taken)]
        if not left:
            return None
        rng = random.Random(counter_seed(self._search.seed, "proposal", len(taken), 0))
        place = self._learnt(history, left, rng) if self._search.sampler == "parzen" else None
        place = rng.choice(left) if place is None else place
        return dict(self._task.params[place]), place

    def _learnt(self, history: History, left: list[int], rng: random.Random) -> int | None:
        known = [seen(trial, self._rungs, _VALUE) for trial in history.trials]
        if not enough(known, self._search.startup_trials):
            return None
        chosen = rng.sample(left, min(CANDIDATES, len(left)))
        candidates = [self._task.params[place] for place in chosen]
        return chosen[most_promising(self._task.domains, known, candidates)]


def searched(sampler: str, pruner: str, concurrent: int, **options: Any) -> Strategy:
    """A search with a sampler and a pruner, this many trials at a time, of as many trials as were recorded.

    Args:
        sampler: As `search.sampler`.
        pruner: As `search.pruner`.
        concurrent: Trials at a time.
        **options: Other keys of `search`.
    """

    def trace(curves: Curves, seed: int) -> Trace:
        keys = {"sampler": sampler, "pruner": pruner, "seed": seed, "trials": len(curves.params), **options}
        spec = curves.spec.override({f"search.{key}": value for key, value in keys.items()})
        rule = rule_of(spec, _VALUE)
        replay = Replay(
            curves.val_r2_CE, spec.search.trials, rule, OnGrid(curves, proposer_of(spec, _VALUE)), concurrent
        )
        return np.maximum.accumulate(replay.spend())

    return trace


def epochs_to_find(task: RecordedTask, search: SearchSpec) -> int:
    """Epochs, of one trial at a time, until one of the task's best configurations is trained to its end."""
    top = task.top
    rule: Rule = RULES.find(search.pruner)(search, task.epochs, _VALUE)
    replay = Replay(task.values_CE, search.trials, rule, InPool(task, search, rule), concurrent=1)
    spent = replay.spend(lambda trial: trial.known.state == "complete" and trial.place in top)
    return len(spent) if replay.found else task.values_CE.size


def top_after(epochs: int, kept: int) -> Strategy:
    """Every configuration for a few epochs, then the best of them to the end, best first."""

    def trace(curves: Curves, seed: int) -> Trace:
        order_C = np.random.default_rng(seed).permutation(len(curves.params))
        head_CE = curves.val_r2_CE[order_C, :epochs]
        best_first = order_C[np.argsort(-head_CE[:, -1], kind="stable")][:kept]
        return np.maximum.accumulate(np.concatenate([head_CE.ravel(), curves.val_r2_CE[best_first, epochs:].ravel()]))

    return trace


class Replay:
    """One search on recorded curves.

    Args:
        values_CE: Of each configuration after each epoch; higher is better, not finite where it fails.
        trials: How many.
        rule: What is stopped.
        proposer: What is tried next.
        concurrent: Trials at a time.
    """

    def __init__(self, values_CE: np.ndarray, trials: int, rule: Rule, proposer: Placed, concurrent: int) -> None:
        self._values_CE, self._planned, self._rule, self._proposer = values_CE, trials, rule, proposer
        self._concurrent, self._epochs = concurrent, int(values_CE.shape[1])
        self._rungs = rule.rungs(self._epochs)
        self._trials: list[Replayed] = []
        self._training: list[Replayed] = []
        self._more = True
        self.found = False
        """Whether the search ended because it had found what was looked for."""

    def spend(self, is_found: Callable[[Replayed], bool] = lambda trial: False) -> list[float]:
        """What each epoch spent came to, until the search is over or a trial is what was looked for."""
        spent: list[float] = []
        while live := self._live():
            for trial in live:
                spent.append(float(self._values_CE[trial.place, trial.epoch]))
                trial.known = replace(trial.known, values=(*trial.known.values, spent[-1]))
            for trial in live:
                self._judge(trial)
                self.found = self.found or is_found(trial)
            if self.found:
                break
        return spent

    @property
    def _history(self) -> History:
        return History([trial.known for trial in self._trials], self._planned, self._more)

    def _live(self) -> list[Replayed]:
        """The trials that train next: those that do, and others in the free places, as `Study.next_trial` has them."""
        while len(self._training) < self._concurrent and (self._release() or self._begin() or self._release()):
            pass
        return self._training[: self._concurrent]

    def _begin(self) -> bool:
        proposed = None
        if len(self._trials) < self._planned:
            proposed = self._proposer.propose(self._history, [trial.place for trial in self._trials])
        self._more = proposed is not None
        if proposed is not None:
            params, place = proposed
            self._trials.append(Replayed(place, Trial(len(self._trials), params, self._epochs)))
            self._training.append(self._trials[-1])
        return self._more

    def _judge(self, trial: Replayed) -> None:
        trial.known = replace(trial.known, **self._verdict(trial.known))
        if not trial.known.trains:
            self._training.remove(trial)

    def _verdict(self, trial: Trial) -> dict[str, Any]:
        epoch = len(trial.values)
        if not math.isfinite(trial.values[-1]):
            return {"state": "failed"}
        if epoch == self._epochs:
            return {"state": "complete"}
        if epoch not in self._rungs:
            return {}
        decision = self._rule.decide(self._history, trial)
        return {"state": "stopped"} if decision == "stop" else {"passed" if decision == "go_on" else "held": epoch}

    def _release(self) -> bool:
        """Let trials that wait go on or end; whether anything changed."""
        decisions = self._rule.release(self._history)
        for number, decision in decisions.items():
            trial = self._trials[number]
            if decision == "go_on":
                trial.known = replace(trial.known, passed=trial.known.held, held=0)
                self._training.append(trial)
            else:
                trial.known = replace(trial.known, state="stopped", held=0)
        return bool(decisions)
