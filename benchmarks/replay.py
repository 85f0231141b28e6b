"""Search strategies replayed on recorded learning curves, epoch by epoch, with the search's own code.

Proposals come from `Proposals`, or from a recorded pool by the same densities, and stops from the rules of promotion,
halving and ASHA as in a run; what a trial would have come to is looked up. On a grid a proposal stands for the recorded
configuration next to it that no trial has had: in a run it would be a new one, here it would be the very same curve
again. A trace gives the best val R2 after each epoch spent.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmarks.recorded_curves import Curves
from benchmarks.recorded_tasks import RecordedTask
from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.asha import rung_epochs, survives
from spectral_search.strategy.halving import survivors
from spectral_search.strategy.parzen import CANDIDATES, most_promising
from spectral_search.strategy.promotion import leaders, promoted
from spectral_search.strategy.proposals import Params, Proposals, enough, seen
from spectral_search.task.counter import counter_seed

Trace = np.ndarray
Strategy = Callable[[Curves, int], Trace]


@dataclass
class Replayed:
    """A trial of a replay.

    Attributes:
        params: Its searched values.
        place: Of its configuration among the recorded ones.
        number: Its number.
        values: Val R2 so far.
        state: As the study would have it.
        held: Whether it waits at a rung.
        passed: The last rung from which it went on.
        told: What the study would hold, as long as nothing has changed.
    """

    params: Params
    place: int
    number: int = 0
    values: list[float] = field(default_factory=list)
    state: TrialState = TrialState.RUNNING
    held: bool = False
    passed: int = 0
    told: FrozenTrial | None = None

    @property
    def epoch(self) -> int:
        return len(self.values)


class Proposer(Protocol):
    """What the next trial is."""

    def propose(self, trials: list[Replayed]) -> Replayed | None:
        """A new trial; None when there is none."""


class GridProposer:
    """`Proposals`, each standing for the recorded configuration next to it."""

    def __init__(self, curves: Curves, proposals: Proposals) -> None:
        self._curves, self._proposals = curves, proposals

    def propose(self, trials: list[Replayed]) -> Replayed | None:
        params = self._proposals.propose([self._frozen(trial) for trial in trials])
        if params is None:
            return None
        return Replayed(params, self._curves.nearest(params, {trial.place for trial in trials}))

    def _frozen(self, trial: Replayed) -> FrozenTrial:
        if trial.told is None or len(trial.told.intermediate_values) != trial.epoch or trial.told.state != trial.state:
            params, distributions = self._proposals.frozen(trial.params)
            trial.told = create_trial(
                state=trial.state,
                value=max(trial.values) if trial.state == TrialState.COMPLETE else None,
                params=params,
                distributions=distributions,
                user_attrs={"params": trial.params},
                intermediate_values=dict(enumerate(trial.values, start=1)),
            )
        return trial.told


class PoolProposer:
    """Configurations of a recorded pool, at random or by `parzen`, as `Proposals` draws points of a finite space."""

    def __init__(self, task: RecordedTask, search: SearchSpec) -> None:
        self._task, self._search = task, search
        self._rungs = search.rungs(task.epochs)

    def propose(self, trials: list[Replayed]) -> Replayed | None:
        tried = {trial.place for trial in trials}
        left = [place for place in range(len(self._task.params)) if place not in tried]
        if not left:
            return None
        rng = random.Random(counter_seed(self._search.seed, "proposal", len(trials), 0))
        place = self._learnt(trials, left, rng) if self._search.sampler == "parzen" else None
        place = rng.choice(left) if place is None else place
        return Replayed(dict(self._task.params[place]), place)

    def _learnt(self, trials: list[Replayed], left: list[int], rng: random.Random) -> int | None:
        known = [
            seen(
                trial.params,
                dict(enumerate(trial.values, start=1)),
                self._rungs,
                failed=trial.state == TrialState.FAIL,
            )
            for trial in trials
        ]
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
        replay = Replay(curves.val_r2_CE, spec.search, GridProposer(curves, Proposals(spec)), concurrent)
        return np.maximum.accumulate(replay.spend())

    return trace


def epochs_to_find(task: RecordedTask, search: SearchSpec) -> int:
    """Epochs, of one trial at a time, until one of the task's best configurations is trained to its end."""
    top = task.top
    replay = Replay(task.values_CE, search, PoolProposer(task, search), concurrent=1)
    spent = replay.spend(lambda trial: trial.state == TrialState.COMPLETE and trial.place in top)
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
        search: The rules.
        proposer: What is tried next.
        concurrent: Trials at a time.
    """

    def __init__(self, values_CE: np.ndarray, search: SearchSpec, proposer: Proposer, concurrent: int) -> None:
        self._values_CE, self._search, self._proposer, self._concurrent = values_CE, search, proposer, concurrent
        self._epochs = int(values_CE.shape[1])
        self._rungs = rung_epochs(search, self._epochs)
        self._trials: list[Replayed] = []
        self._training: list[Replayed] = []
        self._held: dict[int, Replayed] = {}
        self.found = False
        """Whether the search ended because it had found what was looked for."""

    def spend(self, is_found: Callable[[Replayed], bool] = lambda trial: False) -> list[float]:
        """What each epoch spent came to, until the search is over or a trial is what was looked for."""
        spent: list[float] = []
        while live := self._live():
            for trial in live:
                trial.values.append(float(self._values_CE[trial.place, trial.epoch]))
                spent.append(trial.values[-1])
            for trial in live:
                self._judge(trial)
                self.found = self.found or is_found(trial)
            if self.found:
                break
        return spent

    def _live(self) -> list[Replayed]:
        """The trials that train next: those that do, and others in the free places, as `Study.next_trial` has them."""
        while len(self._training) < self._concurrent:
            if (trial := self._promoted() or self._next()) is not None:
                self._training.append(trial)
            elif self._held and self._all_came():
                self._judge_held()
            else:
                break
        return self._training[: self._concurrent]

    def _next(self) -> Replayed | None:
        if len(self._trials) >= self._search.trials:
            return None
        trial = self._proposer.propose(self._trials)
        if trial is not None:
            trial.number = len(self._trials)
            self._trials.append(trial)
        return trial

    def _judge(self, trial: Replayed) -> None:
        self._verdict(trial)
        if trial.held:
            self._held[trial.number] = trial
        if trial.held or trial.state != TrialState.RUNNING:
            self._training.remove(trial)

    def _verdict(self, trial: Replayed) -> None:
        epoch, factor = trial.epoch, self._search.factor_at(trial.epoch, self._epochs)
        if not math.isfinite(trial.values[-1]):
            trial.state = TrialState.FAIL
        elif epoch == self._epochs:
            trial.state = TrialState.COMPLETE
        elif epoch not in self._rungs:
            return
        elif self._search.pruner == "halving":
            trial.held = True
        elif self._search.pruner == "promote":
            trial.held = trial.number not in leaders(self._reached(epoch), factor)
            trial.passed = trial.passed if trial.held else epoch
        else:
            reported = [other.values[epoch - 1] for other in self._trials if other.epoch >= epoch]
            if not survives(trial.values[-1], reported, self._search.factor):
                trial.state = TrialState.PRUNED

    def _promoted(self) -> Replayed | None:
        held = self._held if self._search.pruner == "promote" else {}
        for rung in sorted({trial.epoch for trial in held.values()}, reverse=True):
            waiting = [number for number, trial in held.items() if trial.epoch == rung]
            number = promoted(self._reached(rung), waiting, self._search.factor_at(rung, self._epochs))
            if number is not None:
                return self._taken_on(number)
        return None

    def _taken_on(self, number: int) -> Replayed:
        trial = self._held.pop(number)
        trial.held, trial.passed = False, trial.epoch
        return trial

    def _all_came(self) -> bool:
        if self._search.pruner != "promote":
            return not self._training
        rung = min(trial.epoch for trial in self._held.values())
        return not any(trial.passed < rung for trial in self._training)

    def _judge_held(self) -> None:
        rung = min(trial.epoch for trial in self._held.values())
        go_on = survivors(self._reached(rung), self._search, self._search.factor_at(rung, self._epochs))
        for number in [number for number in sorted(self._held) if self._held[number].epoch == rung]:
            if number in go_on:
                self._training.append(self._taken_on(number))
            else:
                self._held[number].held, self._held[number].state = False, TrialState.PRUNED
                del self._held[number]

    def _reached(self, rung: int) -> Mapping[int, float]:
        """Best value up to a rung of all trials that reached it, as the study counts them."""
        return {
            number: max(trial.values[:rung])
            for number, trial in enumerate(self._trials)
            if trial.epoch >= rung and (trial.state != TrialState.FAIL or trial.passed >= rung)
        }
