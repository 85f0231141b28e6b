"""Search strategies replayed on recorded learning curves, epoch by epoch, with the search's own code.

Proposals come from `Proposals` and stops from the rules of halving and ASHA as in a run; what a trial would have come
to is looked up. A proposal stands for the recorded configuration next to it that no trial has had: in a run it would be
a new one, here it would be the very same curve again. A trace gives the best val R2 after each epoch spent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial

from spectral_search.bench.curves import Curves
from spectral_search.search.asha import rung_epochs, survives
from spectral_search.search.halving import survivors
from spectral_search.search.proposals import Params, Proposals
from spectral_search.spec.run import RunSpec

Trace = np.ndarray
Strategy = Callable[[Curves, int], Trace]


@dataclass
class _Trial:
    params: Params
    place: int
    """Of its configuration among the recorded ones."""
    curve: list[float]
    """Of the configuration, to the last epoch."""
    values: list[float] = field(default_factory=list)
    """Val R2 so far."""
    state: TrialState = TrialState.RUNNING
    held: bool = False
    """Whether it waits at a rung."""

    def frozen(self, proposals: Proposals) -> FrozenTrial:
        params, distributions = proposals.frozen(self.params)
        return create_trial(
            state=self.state,
            value=max(self.values) if self.state == TrialState.COMPLETE else None,
            params=params,
            distributions=distributions,
            user_attrs={"params": self.params},
            intermediate_values=dict(enumerate(self.values, start=1)),
        )


def searched(sampler: str, pruner: str, concurrent: int) -> Strategy:
    """A search with a sampler and a pruner, this many trials at a time, of as many trials as were recorded."""

    def trace(curves: Curves, seed: int) -> Trace:
        spec = curves.spec.override(
            {
                "search.sampler": sampler,
                "search.pruner": pruner,
                "search.seed": seed,
                "search.trials": len(curves.params),
            }
        )
        return _Replay(curves, spec, concurrent).trace()

    return trace


def top_after(epochs: int, kept: int) -> Strategy:
    """Every configuration for a few epochs, then the best of them to the end, best first."""

    def trace(curves: Curves, seed: int) -> Trace:
        order_C = np.random.default_rng(seed).permutation(len(curves.params))
        head_CE = curves.val_r2_CE[order_C, :epochs]
        best_first = order_C[np.argsort(-head_CE[:, -1], kind="stable")][:kept]
        return np.maximum.accumulate(np.concatenate([head_CE.ravel(), curves.val_r2_CE[best_first, epochs:].ravel()]))

    return trace


class _Replay:
    """One search on recorded curves."""

    def __init__(self, curves: Curves, spec: RunSpec, concurrent: int) -> None:
        self._curves, self._search, self._concurrent = curves, spec.search, concurrent
        self._proposals = Proposals(spec)
        self._rungs = rung_epochs(spec.search, curves.epochs)
        self._trials: list[_Trial] = []

    def trace(self) -> Trace:
        spent: list[float] = []
        while live := self._live():
            for trial in live:
                trial.values.append(trial.curve[len(trial.values)])
                spent.append(trial.values[-1])
            for trial in live:
                self._judge(trial)
        return np.maximum.accumulate(spent)

    def _live(self) -> list[_Trial]:
        """The trials that train next: those that do, and others in the free places, as `Study.next_trial` has them."""
        live = [trial for trial in self._trials if trial.state == TrialState.RUNNING and not trial.held]
        del live[self._concurrent :]
        while len(live) < self._concurrent and (trial := self._next()) is not None:
            live.append(trial)
        if not live and any(trial.held for trial in self._trials):
            self._judge_held()
            return self._live()
        return live

    def _next(self) -> _Trial | None:
        params = self._proposals.propose([trial.frozen(self._proposals) for trial in self._trials])
        if params is None:
            return None
        place = self._curves.nearest(params, {trial.place for trial in self._trials})
        trial = _Trial(params, place, self._curves.val_r2_CE[place].tolist())
        self._trials.append(trial)
        return trial

    def _judge(self, trial: _Trial) -> None:
        epoch = len(trial.values)
        if epoch == self._curves.epochs:
            trial.state = TrialState.COMPLETE
        elif epoch in self._rungs and self._search.pruner == "halving":
            trial.held = True
        elif epoch in self._rungs:
            reported = [other.values[epoch - 1] for other in self._trials if len(other.values) >= epoch]
            if not survives(trial.values[-1], reported, self._search.factor):
                trial.state = TrialState.PRUNED

    def _judge_held(self) -> None:
        rung = min(len(trial.values) for trial in self._trials if trial.held)
        reached = {
            number: max(trial.values[:rung]) for number, trial in enumerate(self._trials) if len(trial.values) >= rung
        }
        go_on = survivors(reached, self._search)
        for number, trial in enumerate(self._trials):
            if trial.held and len(trial.values) == rung:
                trial.held = False
                trial.state = TrialState.RUNNING if number in go_on else TrialState.PRUNED
