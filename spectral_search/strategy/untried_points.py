"""Random points of a space that no trial has had. Optuna is imported with the first, so that plans need none of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Any

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History
from spectral_search.strategy.space_points import (
    Params,
    drawn_point,
    finite_points,
    is_possible,
    point_key,
    searched_domains,
)

if TYPE_CHECKING:
    from spectral_search.strategy.shadow_study import ShadowStudy

_RANDOM_ATTEMPTS = 1000
"""Random points drawn of a space that cannot be listed before it is taken to hold no more."""


class UntriedPoints:
    """What is left of a search's space.

    Args:
        spec: The search.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec, self._domains, self._finite = spec, searched_domains(spec), finite_points(spec)
        self._tried = TriedPoints()

    @cached_property
    def _shadow(self) -> ShadowStudy:
        from spectral_search.strategy.shadow_study import ShadowStudy

        return ShadowStudy(self._spec)

    def one(self, history: History, seed: int) -> Params | None:
        """A random point; None when there is none left."""
        if self._finite is not None:
            left = self._left(history)
            return random.Random(seed).choice(left) if left else None
        if any(not paused.part.key for paused in history.paused):  # the whole space
            return None
        import optuna

        sampler, tried = optuna.samplers.RandomSampler(seed=seed % 2**32), self._tried.points(history)
        for _ in range(_RANDOM_ATTEMPTS):
            if self._is_left(params := self._shadow.ask(sampler, []), tried, history):
                return params
        return None

    def some(self, history: History, count: int, seed: int) -> list[Params]:
        """At most so many random points."""
        rng = random.Random(seed)
        if self._finite is not None:
            left = self._left(history)
            return rng.sample(left, min(count, len(left)))
        drawn, tried = [drawn_point(self._spec, self._domains, rng) for _ in range(count)], self._tried.points(history)
        return [params for params in drawn if self._is_left(params, tried, history)]

    def holds(self, params: Params, history: History) -> bool:
        """Whether a point of the space is possible, new, and not where nothing more is tried."""
        return self._is_left(params, self._tried.points(history), history)

    def _is_left(self, params: Params, tried: Set[str], history: History) -> bool:
        return point_key(params) not in tried and not history.refuses(params) and is_possible(self._spec, params)

    def _left(self, history: History) -> list[Params]:
        tried = self._tried.points(history)
        return [point for point in self._finite or [] if point_key(point) not in tried and not history.refuses(point)]


class TriedPoints:
    """The points that trials have had, failed ones included; each is read once, however often a history is asked of."""

    def __init__(self) -> None:
        self._known: list[Mapping[str, Any]] = []
        self._keys: set[str] = set()

    def points(self, history: History) -> Set[str]:
        """The keys of all points of a history."""
        trials, known = history.trials, self._known
        # A trial keeps its parameters, whatever else changes about it.
        same = len(known) <= len(trials) and all(trial.params is had for trial, had in zip(trials, known, strict=False))
        if not same:
            self._known, self._keys = [], set()
        for trial in trials[len(self._known) :]:
            self._known.append(trial.params)
            self._keys.add(point_key(trial.params))
        return self._keys
