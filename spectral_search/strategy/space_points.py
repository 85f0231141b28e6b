"""The points that a search may try, and how many trials it has; without Optuna, so that a plan can ask too."""

import json
import math
import random
from collections.abc import Mapping
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec

Params = dict[str, Any]
_LARGEST_ENUMERATION = 5_000
"""Points of a space that are listed; in larger ones a repeated proposal is improbable. Listing these takes 0.4 s."""


def planned_trials(spec: RunSpec) -> int:
    """Trials that a search will make: fewer than asked for where its space holds fewer."""
    if spec.search.exhaustive:
        return len(spec.grid_points())
    points = finite_points(spec)
    return spec.search.trials if points is None else min(spec.search.trials, len(points))


def searched_domains(spec: RunSpec) -> dict[str, Domain]:
    """The domain of every searched key, in an order in which conditions can be judged as values are drawn."""
    if not spec.search.exhaustive:
        return {key: spec.space[key] for key in spec.search_order()}
    values: dict[str, dict[str, Any]] = {}
    for point in spec.grid_points():
        for key, value in point.items():
            # By their text: values may be lists, which no set holds, and their order is to be that of the grid.
            values.setdefault(key, {})[json.dumps(value)] = value
    return {key: Domain(kind="choice", choices=list(found.values())) for key, found in values.items()}


def fixed_keys(spec: RunSpec) -> frozenset[str]:
    """The searched keys that have one and the same value at every point."""
    points = spec.grid_points() if spec.search.exhaustive else []
    return frozenset(
        key
        for key, domain in searched_domains(spec).items()
        if domain.choices is not None and len(domain.choices) == 1 and domain.when is None
        if all(key in point for point in points)
    )


def point_key(params: Mapping[str, Any]) -> str:
    """The same text for equal points."""
    return json.dumps(params, sort_keys=True)


def drawn_point(spec: RunSpec, domains: Mapping[str, Domain], rng: random.Random) -> Params:
    """A random point of the space, for which Optuna's sampler would take many times as long."""
    params: Params = {}
    for key, domain in domains.items():
        if spec.is_active(key, params):
            params[key] = drawn_value(domain, rng)
    return params


def drawn_value(domain: Domain, rng: random.Random) -> Any:
    """A random value of a domain, on its scale; every whole number of a range is as probable as its step is wide."""
    if domain.choices is not None:
        return rng.choice(domain.choices)
    low, high = float(domain.low or 0.0), float(domain.high or 0.0)
    # Half a step beyond the ends, or rounding would give these half of their share.
    wide = (low - 0.5, high + 0.5) if domain.is_int else (low, high)
    value = math.exp(rng.uniform(*map(math.log, wide))) if domain.is_log else rng.uniform(*wide)
    # Bounded, since an end's exponential of its logarithm may lie a last digit beyond it.
    return int(min(max(round(value), low), high)) if domain.is_int else min(max(value, low), high)


def finite_points(spec: RunSpec) -> list[Params] | None:
    """Every possible point of the space, one empty point for an empty space; None when it is continuous or large."""
    points: list[Params] = [{}]
    for key in spec.search_order():
        values = _values(spec.space[key])
        if values is None:
            return None
        points = [
            extended
            for point in points
            for extended in ([{**point, key: value} for value in values] if spec.is_active(key, point) else [point])
        ]
        # At each key, before the product of many grows beyond memory.
        if len(points) > _LARGEST_ENUMERATION:
            return None
    return [point for point in points if is_possible(spec, point)]


def is_possible(spec: RunSpec, params: Params) -> bool:
    """Whether the values can go together, such as widths that divide into heads."""
    try:
        spec.with_params(params)
    except RequestError:
        return False
    return True


def _values(domain: Domain) -> list[Any] | None:
    if domain.choices is not None:
        return domain.choices
    if not domain.is_int or domain.low is None or domain.high is None:
        return None
    low, high = int(domain.low), int(domain.high)
    return list(range(low, high + 1)) if high - low < _LARGEST_ENUMERATION else None
