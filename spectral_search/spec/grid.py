"""The `grid` section: the published grid of a stage, as one product of value lists or a union of several."""

import itertools
import math
from typing import Any

from spectral_search.spec.domain import duplicates, same_key
from spectral_search.spec.faults import Fault
from spectral_search.spec.keys import is_kind, trial_leaves
from spectral_search.spec.space import key_fault
from spectral_search.spec.trial import TrialConfig, apply_params
from spectral_search.spec.yaml_io import show

Product = dict[str, list[Any]]
Grid = Product | list[Product]
_MAX_POINTS = 10_000


def products(grid: Grid) -> list[Product]:
    """The non-empty products of a grid."""
    return [product for product in (grid if isinstance(grid, list) else [grid]) if product]


def grid_points(base: TrialConfig, grid: Grid) -> list[dict[str, Any]]:
    """Every distinct point of a grid in the order written, the last key varying fastest.

    Keys that a point's model kind does not have are left out of it. A grid without keys has one point: the base.
    """
    points: dict[str, dict[str, Any]] = {}
    for product in products(grid) or [{}]:
        for values in itertools.product(*product.values()):
            point = dict(zip(product, values, strict=True))
            leaves = trial_leaves(_kind_of(base, point), type(base.data))
            point = {key: value for key, value in point.items() if key in leaves}
            points.setdefault(same_key(sorted((key, same_key(value)) for key, value in point.items())), point)
    return list(points.values())


def _kind_of(base: TrialConfig, point: dict[str, Any]) -> str:
    kind = point.get("model.kind", base.model.kind)
    return kind if is_kind(kind) else base.model.kind


def parse_grid(raw: Any) -> tuple[Grid, list[Fault]]:
    """Reads a grid's lists, without looking at the keys' meaning."""
    if raw is None:
        return {}, []
    parts = raw if isinstance(raw, list) else [raw]
    if not all(isinstance(part, dict) for part in parts):
        return {}, [Fault("grid", f"grid must give each key a list of values, found {show(raw)}")]
    faults = [fault for part in parts for key, values in part.items() for fault in _list_faults(key, values)]
    if faults:
        return {}, faults
    # Counted before any point is made: the product of a few lists can be more than memory holds.
    size = sum(math.prod(map(len, part.values())) for part in parts)
    if size > _MAX_POINTS:
        return {}, [
            Fault("grid", f"grid has {size:,} points, more than {_MAX_POINTS:,}; use space and a sampler instead")
        ]
    return raw, []


def _list_faults(key: str, values: Any) -> list[Fault]:
    place = f"grid.{key}"
    if not isinstance(values, list):
        return [Fault(place, f"{place} must be a list of values, found {show(values)}; write [{show(values)}]")]
    if not values:
        return [Fault(place, f"{place} is empty; list at least one value")]
    twice = duplicates(values)
    return (
        [Fault(place, f"{place} holds {', '.join(map(show, twice))} more than once; list each value once")]
        if twice
        else []
    )


def check_grid(base: TrialConfig, grid: Grid) -> list[Fault]:
    """Every fault of a grid over a base: unknown keys, values that a section would refuse, impossible points."""
    faults: dict[str, Fault] = {}
    for product in products(grid):
        kinds = [kind for kind in product.get("model.kind", [base.model.kind]) if is_kind(kind)]
        for key in product:
            fault = key_fault("grid", key, kinds, type(base.data))
            if fault is not None:
                faults.setdefault(fault.text, fault)
    wrong = {fault.key.removeprefix("grid.") for fault in faults.values()}
    sound = [{key: values for key, values in part.items() if key not in wrong} for part in products(grid)]
    for point in grid_points(base, sound):
        for found in apply_params(base, point)[1]:
            fault = Fault(f"grid.{found.key}", f"grid.{found.text}", found.linked)
            faults.setdefault(fault.text, fault)
    return list(faults.values())
