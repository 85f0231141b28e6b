"""Which trials of a search need the most memory, and which the least; without Optuna, so that a plan can ask."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.space_points import Params, drawn_value
from spectral_search.train.capacity import Footprint, footprint

_SIZING = (
    *("model.", "data.input.", "fit.batch_size", "fit.precision", "fit.target"),
    *("fit.weight_average", "fit.augment", "fit.accumulate", "fit.checkpoint_activations"),
)
"""What the memory of a trial follows from: keys, and beginnings of keys."""
_SWEEPS, DRAWS = 3, 100
_CLIMBED = 10
"""Of the random points those that go on to be changed: from the others one comes to the same extremes, for most of the
time that a plan takes."""


@dataclass(frozen=True)
class Sized:
    """A possible trial: its searched values that matter for memory, what it trains, and what that needs."""

    params: Params
    config: TrialConfig
    footprint: Footprint


class Corners:
    """The extremes of a search, by the memory that a trial needs alone.

    Args:
        spec: The search.
        values: Of an example.
        examples: Of the training set.
        gpu: Whether trials have a GPU.
    """

    def __init__(self, spec: RunSpec, values: int, examples: int | None, *, gpu: bool) -> None:
        self._spec, self._values, self._examples, self._gpu = spec, values, examples, gpu
        self._known: dict[str, Sized | None] = {}

    def grid(self) -> list[Sized]:
        """Every point, in the grid's order; those that cannot be are left out."""
        return [sized for point in self._spec.grid_points() if (sized := self._sized(point)) is not None]

    @cached_property
    def draws(self) -> list[Sized]:
        """Random points of the space, always the same."""
        random_numbers = random.Random(0)
        drawn = (self._rebuilt({}, partial(drawn_value, rng=random_numbers)) for _ in range(DRAWS))
        return [sized for point in drawn if (sized := self._sized(point)) is not None]

    def largest(self) -> Sized:
        """What needs the most, by changing one value at a time as long as that helps, beside random points."""
        return self._extreme(lambda sized: sized.footprint.peak)

    def smallest(self) -> Sized:
        """What needs the least, likewise."""
        return self._extreme(lambda sized: -sized.footprint.peak)

    def _extreme(self, merit: Callable[[Sized], int]) -> Sized:
        starts = [sized for params in self._starts() if (sized := self._sized(params)) is not None]
        drawn = sorted(self.draws, key=merit, reverse=True)[:_CLIMBED]
        found = [self._climbed(start, merit) for start in [*starts, *drawn]]
        if not found:
            raise RequestError("The space holds no point that can be trained: widen a domain.")
        return max(found, key=merit)

    def _starts(self) -> Iterator[Params]:
        """A point of each kind of network."""
        kinds = self._spec.space["model.kind"].probes() if "model.kind" in self._spec.space else [None]
        for kind in kinds:
            chosen = {} if kind is None else {"model.kind": kind}
            yield self._rebuilt(chosen, lambda domain: domain.probes()[0])

    def _climbed(self, best: Sized, merit: Callable[[Sized], int]) -> Sized:
        for _ in range(_SWEEPS):
            before = best
            for key, domain in self._sizing.items():
                for value in domain.probes() if key in best.params else []:
                    changed = self._rebuilt({**best.params, key: value}, lambda domain: domain.probes()[0])
                    if (sized := self._sized(changed)) is not None and merit(sized) > merit(best):
                        best = sized
            if best is before:
                break
        return best

    @cached_property
    def _sizing(self) -> dict[str, Domain]:
        """The searched keys that matter, and those that decide whether these are searched, in order."""
        space = self._spec.space
        wanted = {key for key in space if key.startswith(_SIZING)}
        while more := {parent for key in wanted for parent in space[key].when or {} if parent in space} - wanted:
            wanted |= more
        return {key: space[key] for key in self._spec.search_order() if key in wanted}

    def _rebuilt(self, chosen: Params, value_of: Callable[[Domain], Any]) -> Params:
        """A point with the chosen values, as far as its conditions are met, and others filled in."""
        params: Params = {}
        for key, domain in self._sizing.items():
            if self._spec.is_active(key, params):
                params[key] = chosen[key] if key in chosen else value_of(domain)
        return params

    def _sized(self, params: Params) -> Sized | None:
        """A point with what it needs; None where its values cannot go together."""
        params = {key: value for key, value in params.items() if key.startswith(_SIZING) or key in self._sizing}
        name = repr(sorted(params.items()))
        if name not in self._known:
            try:
                config = self._spec.with_params(params)
                needed = footprint(config, self._values, examples=self._examples, gpu=self._gpu)
            except RequestError:
                self._known[name] = None
            else:
                self._known[name] = Sized(params, config, needed)
        return self._known[name]
