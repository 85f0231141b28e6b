"""Random points of a space that no trial has had. Optuna is imported with the first, so that plans need none of it."""

from __future__ import annotations

import random
from collections.abc import Set
from functools import cached_property
from typing import TYPE_CHECKING

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

    @cached_property
    def _shadow(self) -> ShadowStudy:
        from spectral_search.strategy.shadow_study import ShadowStudy

        return ShadowStudy(self._spec)

    def one(self, history: History, seed: int) -> Params | None:
        """A random point; None when there is none left."""
        tried = tried_points(history)
        if self._finite is not None:
            left = self._left(tried)
            return random.Random(seed).choice(left) if left else None
        import optuna

        sampler = optuna.samplers.RandomSampler(seed=seed % 2**32)
        for _ in range(_RANDOM_ATTEMPTS):
            if self.holds(params := self._shadow.ask(sampler, []), tried):
                return params
        return None

    def some(self, history: History, count: int, seed: int) -> list[Params]:
        """At most so many random points."""
        tried, rng = tried_points(history), random.Random(seed)
        if self._finite is not None:
            left = self._left(tried)
            return rng.sample(left, min(count, len(left)))
        drawn = [drawn_point(self._spec, self._domains, rng) for _ in range(count)]
        return [params for params in drawn if self.holds(params, tried)]

    def holds(self, params: Params, tried: Set[str]) -> bool:
        """Whether a point of the space is possible and new."""
        return point_key(params) not in tried and is_possible(self._spec, params)

    def _left(self, tried: Set[str]) -> list[Params]:
        return [point for point in self._finite or [] if point_key(point) not in tried]


def tried_points(history: History) -> set[str]:
    """The keys of all points that trials have had, failed ones included."""
    return {point_key(trial.params) for trial in history.trials}
