"""How much work one example is for the networks that a spec would try."""

import random
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.families import family_of
from spectral_search.spec.family import InputShape
from spectral_search.spec.model_section import ModelSection
from spectral_search.spec.run import RunSpec

_DRAWS = 32
_SHAPE = InputShape(pixels=4096)
"""Of an example, which a spec alone does not say."""


def forward_operations(model: ModelSection) -> int:
    """Multiply-accumulates of one forward pass over one example of a usual length.

    Counts matrix products and convolutions; a training step is about three forward passes.
    """
    return family_of(model.kind).forward_operations(model, _SHAPE)


def typical_operations(spec: RunSpec) -> float:
    """Mean of `forward_operations` over what a search tries: its grid or its space, whichever is dearer."""
    points = spec.grid_points()
    draws = random.Random(0)  # fixed: the same spec must always shrink to the same quick run
    proposals = [_draw(spec, draws) for _ in range(_DRAWS)]
    return max(_mean(spec, points[:: max(1, len(points) // _DRAWS)]), _mean(spec, proposals))


def _draw(spec: RunSpec, draws: random.Random) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for key in spec.search_order():
        if key.startswith("model.") and spec.is_active(key, params):
            params[key] = draws.choice(spec.space[key].probes())
    return params


def _mean(spec: RunSpec, points: list[dict[str, Any]]) -> float:
    operations: list[int] = []
    for point in points:
        try:
            operations.append(forward_operations(spec.with_params(point).model))
        except RequestError:
            continue  # a combination that the search would not run either
    return sum(operations) / len(operations) if operations else float(forward_operations(spec.model))
