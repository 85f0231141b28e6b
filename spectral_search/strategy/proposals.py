"""What the next trial is: points of a grid in order, or a sampler's proposal that no earlier trial has tried.

A proposal is a function of (seed, trial number, the trials so far) and of nothing else, so that a resumed search goes
on as the uninterrupted one would have.
"""

import json
import math
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.collapse import COLLAPSED
from spectral_search.strategy.parzen import CANDIDATES, Seen, most_promising
from spectral_search.strategy.space_points import Params, finite_points, is_possible, planned_trials
from spectral_search.strategy.stored_choices import Choices, choices_of
from spectral_search.task.counter import counter_seed

__all__ = ["Params", "Proposals", "best_of", "enough", "make_sampler", "seen"]

ATTEMPTS = 10
"""Proposals asked of the sampler before a repeated or impossible one is replaced by a random one."""
WORST_TOLD = -1.0
"""A Gaussian process is told no lower val R2: one diverged trial at -1e6 would flatten everything else."""
RANDOM_ATTEMPTS = 1000
"""Random points drawn of a space that cannot be listed before it is taken to hold no more."""


def make_sampler(spec: RunSpec, seed: int) -> BaseSampler:
    """The Optuna sampler of a spec, freshly seeded."""
    search = spec.search
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if search.sampler == "gp":
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=search.startup_trials)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Groups let a conditional key learn from the trials that have it; the liar keeps parallel trials apart.
        return optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=search.startup_trials,
            multivariate=True,
            group=True,
            constant_liar=True,
        )


def distribution(domain: Domain, choices: Choices | None) -> BaseDistribution:
    """A domain in Optuna's terms, with the choices of one that is no range."""
    if choices is not None:
        return choices.distribution
    if domain.is_int:
        return IntDistribution(int(domain.low or 0), int(domain.high or 0), log=domain.is_log)
    return FloatDistribution(float(domain.low or 0.0), float(domain.high or 0.0), log=domain.is_log)


class Proposals:
    """The trials a search will make, one after the other.

    Args:
        spec: The search.
        stored: The trials that its study has already.
    """

    def __init__(self, spec: RunSpec, stored: Sequence[FrozenTrial] = ()) -> None:
        self._spec = spec
        self._grid = spec.grid_points() if spec.search.sampler == "grid" else None
        order = [(key, spec.space[key]) for key in spec.search_order()]
        self._space = order if self._grid is None else list(_grid_domains(self._grid).items())
        self._choices = {key: choices_of(key, domain, stored) for key, domain in self._space if domain.choices}
        self._finite = finite_points(spec) if self._grid is None else None
        self.planned = planned_trials(spec)
        """Trials that the search will make in all."""

    def propose(self, earlier: list[FrozenTrial]) -> Params | None:
        """Parameters of trial number len(earlier); None when the search has no more."""
        number = len(earlier)
        if number >= self.planned:
            return None
        if self._grid is not None:
            return self._grid[number]
        if not self._space:
            return {}
        tried = {_key(trial.user_attrs["params"]) for trial in earlier}
        if self._spec.search.sampler == "parzen":
            return self._learnt(earlier, tried, counter_seed(self._spec.search.seed, "proposal", number, 0))
        for attempt in range(ATTEMPTS):
            seed = counter_seed(self._spec.search.seed, "proposal", number, attempt)
            params = self._sample(make_sampler(self._spec, seed % 2**32), earlier)
            if _key(params) not in tried and is_possible(self._spec, params):
                return params
        return self._untried(tried, counter_seed(self._spec.search.seed, "untried", number))

    def _learnt(self, earlier: list[FrozenTrial], tried: set[str], seed: int) -> Params | None:
        """The most promising of some random points that no trial has had; a random one as long as too few are known."""
        known = [self._seen(trial) for trial in earlier]
        candidates = self._candidates(tried, seed) if enough(known, self._spec.search.startup_trials) else []
        if not candidates:
            return self._untried(tried, seed)
        return candidates[most_promising(dict(self._space), known, candidates)]

    def _candidates(self, tried: set[str], seed: int) -> list[Params]:
        if self._finite is not None:
            left = [point for point in self._finite if _key(point) not in tried]
            return random.Random(seed).sample(left, min(CANDIDATES, len(left)))
        rng = random.Random(seed)
        drawn = [self._drawn(rng) for _ in range(CANDIDATES)]
        return [params for params in drawn if _key(params) not in tried and is_possible(self._spec, params)]

    def _seen(self, trial: FrozenTrial) -> Seen:
        params: Params = trial.user_attrs["params"]
        rungs = self._spec.search.rungs(self._spec.with_params(params).fit.epochs)
        return seen(params, trial.intermediate_values, rungs, failed=_came_to_nothing(trial))

    def _untried(self, tried: set[str], seed: int) -> Params | None:
        """A random point that no trial has had; None when there is none left."""
        if self._finite is not None:
            left = [point for point in self._finite if _key(point) not in tried]
            return random.Random(seed).choice(left) if left else None
        sampler = optuna.samplers.RandomSampler(seed=seed % 2**32)
        for _ in range(RANDOM_ATTEMPTS):
            params = self._sample(sampler, [])
            if _key(params) not in tried and is_possible(self._spec, params):
                return params
        return None

    def frozen(self, params: Params) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Stored parameters and distributions of a proposal, for the study's record."""
        space, choices = dict(self._space), self._choices
        held = {key: choices[key].hold(value) if key in choices else value for key, value in params.items()}
        return held, {key: distribution(space[key], choices.get(key)) for key in params}

    def _drawn(self, rng: random.Random) -> Params:
        """A random point of the space, for which Optuna's sampler would take many times as long."""
        params: Params = {}
        for key, domain in self._space:
            if self._spec.is_active(key, params):
                params[key] = drawn_value(domain, rng)
        return params

    def _sample(self, sampler: BaseSampler, earlier: list[FrozenTrial]) -> Params:
        # A shadow study in memory: the durable one only ever holds proposals that are really run.
        shadow = optuna.create_study(direction="maximize", sampler=sampler)
        shadow.add_trials(_as_told(earlier, self._spec.search.sampler))
        trial = shadow.ask()
        params: Params = {}
        for key, domain in self._space:
            if self._spec.is_active(key, params):
                params[key] = _suggest(trial, key, domain, self._choices.get(key))
        return params


def drawn_value(domain: Domain, rng: random.Random) -> Any:
    """A random value of a domain, on its scale; every whole number of a range is as probable as its step is wide."""
    if domain.choices is not None:
        return rng.choice(domain.choices)
    low, high = float(domain.low or 0.0), float(domain.high or 0.0)
    wide = (low - 0.5, high + 0.5) if domain.is_int else (low, high)
    value = math.exp(rng.uniform(*map(math.log, wide))) if domain.is_log else rng.uniform(*wide)
    return int(min(max(round(value), low), high)) if domain.is_int else min(max(value, low), high)


def seen(params: Params, values: Mapping[int, float], rungs: Sequence[int], *, failed: bool) -> Seen:
    """What `parzen` is told of a trial: how far it came, and its best at the last rung it reached.

    Args:
        params: Its searched values.
        values: Val R2 by epoch.
        rungs: Epochs after which it may be stopped; without any its best so far counts.
        failed: Whether it ended without a result, or collapsed.
    """
    if failed:
        return Seen(params, -1)
    if not rungs:
        return Seen(params, int(bool(values)), best_of(values))
    reached = [rung for rung in rungs if rung in values]
    return Seen(params, len(reached), best_of(values, reached[-1])) if reached else Seen(params, 0)


def enough(known: Sequence[Seen], startup_trials: int) -> bool:
    """Whether so many trials have reached a rung, or failed, that proposals can learn from them."""
    return sum(trial.rungs != 0 for trial in known) >= startup_trials


def best_of(values: Mapping[int, float], until: int | None = None) -> float:
    """The best finite val R2 of a trial up to an epoch, by epoch; minus infinity when there is none."""
    kept = (value for epoch, value in values.items() if until is None or epoch <= until)
    return max(filter(math.isfinite, kept), default=-math.inf)


def _as_told(earlier: list[FrozenTrial], sampler: str) -> list[FrozenTrial]:
    """The trials as a sampler must see them.

    TPE ranks stopped trials by the epoch they reached and then by their value there; a trial that failed or collapsed,
    told as one stopped before its first epoch, ranks last, so that what diverged is not proposed again. A Gaussian
    process models complete trials only, of which early stops leave few: it is told every trial's best val R2 as its
    value.
    """
    if sampler != "gp":
        return [_with(trial, TrialState.PRUNED) if _came_to_nothing(trial) else trial for trial in earlier]
    told = []
    for trial in earlier:
        best = max(trial.intermediate_values.values(), default=None)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and best is not None:
            told.append(_with(trial, TrialState.COMPLETE, max(best, WORST_TOLD)))
        elif trial.state == TrialState.FAIL:
            told.append(_with(trial, TrialState.COMPLETE, WORST_TOLD))
        else:
            told.append(trial)
    return told


def _came_to_nothing(trial: FrozenTrial) -> bool:
    """Whether it failed or collapsed; how far it came says nothing then."""
    return trial.state == TrialState.FAIL or COLLAPSED in trial.user_attrs


def _with(trial: FrozenTrial, state: TrialState, value: float | None = None) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value,
        params=trial.params,
        distributions=trial.distributions,
        user_attrs=trial.user_attrs,
        intermediate_values=trial.intermediate_values if state == TrialState.COMPLETE else {},
    )


def _suggest(trial: Trial, key: str, domain: Domain, choices: Choices | None) -> Any:
    if choices is not None:
        return choices.value(trial.suggest_categorical(key, choices.held))
    if domain.is_int:
        return trial.suggest_int(key, int(domain.low or 0), int(domain.high or 0), log=domain.is_log)
    return trial.suggest_float(key, float(domain.low or 0.0), float(domain.high or 0.0), log=domain.is_log)


def _grid_domains(points: list[Params]) -> dict[str, Domain]:
    """Each grid key as a choice among the values that occur."""
    values: dict[str, dict[str, Any]] = {}
    for point in points:
        for key, value in point.items():
            values.setdefault(key, {})[json.dumps(value)] = value
    return {key: Domain(kind="choice", choices=list(found.values())) for key, found in values.items()}


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)
