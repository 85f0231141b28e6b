"""Every point of a finite space, and how many trials a search has; without Optuna, so that a plan can ask too."""

from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.domain import Domain
from spectral_search.spec.run import RunSpec

Params = dict[str, Any]
LARGEST_ENUMERATION = 5_000
"""Points of a space that are listed; in larger ones a repeated proposal is improbable. Listing these takes 0.4 s."""


def planned_trials(spec: RunSpec) -> int:
    """Trials that a search will make: fewer than asked for where its space holds fewer."""
    if spec.search.sampler == "grid":
        return len(spec.grid_points())
    points = finite_points(spec)
    return spec.search.trials if points is None else min(spec.search.trials, len(points))


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
        if len(points) > LARGEST_ENUMERATION:
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
    return list(range(low, high + 1)) if high - low < LARGEST_ENUMERATION else None
