"""What the trials of a search may be, known before any is proposed."""

from contextlib import suppress
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.run import RunSpec, TrialConfig

_CHECKED_CHOICES = 500
"""Combinations of values that are looked at before anything starts."""


def values(spec: RunSpec, key: str) -> set[Any]:
    """The values that trials may have for a key; of a range its ends and what lies next to them."""
    base = spec.base.value(key)
    if spec.search.exhaustive:
        return {point.get(key, base) for point in spec.grid_points()}
    domain = spec.space.get(key)
    if domain is None:
        return {base}
    # Where its condition does not hold, a key stays as the base has it.
    return set(domain.probes()) | ({base} if domain.when else set())


def candidates(spec: RunSpec) -> list[TrialConfig]:
    """What trials may be: every grid point, or every value of the space by itself."""
    alone = [{}, *({key: value} for key, domain in spec.space.items() for value in domain.probes())]
    points = spec.grid_points() if spec.search.exhaustive else alone
    found = []
    for point in points[:_CHECKED_CHOICES]:
        with suppress(RequestError):  # a value that is possible only together with others
            found.append(spec.with_params(point))
    return found
