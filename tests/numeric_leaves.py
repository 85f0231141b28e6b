"""Every number that a spec takes, with its bounds, as the sections' own types say."""

import inspect
import math
import types
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from spectral_search.spec.base import Section
from spectral_search.spec.families import families
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.keys import section_leaves
from spectral_search.spec.search import ResourcesSpec, SearchSpec
from spectral_search.tasks.spectra.section import DataSpec

SECTIONS: dict[str, type[Section]] = {
    "data": DataSpec,
    "fit": FitSpec,
    "search": SearchSpec,
    "resources": ResourcesSpec,
}


@dataclass(frozen=True)
class Leaf:
    """A number of a spec, or the numbers of a list.

    Attributes:
        key: Dotted key.
        kind: The model kind that has it; None outside the model section.
        is_int: Whether it is a whole number.
        low: The lowest value that its type allows; None where it has no lower bound.
        high: The highest, likewise.
        in_list: Whether the key takes a list of such numbers.
    """

    key: str
    kind: str | None
    is_int: bool
    low: float | None
    high: float | None
    in_list: bool

    @property
    def name(self) -> str:
        """For test ids."""
        return f"{self.kind}.{self.key}" if self.kind else self.key

    def given(self, number: float) -> Any:
        """The number as a spec gives it."""
        return [number] if self.in_list else number

    def beyond(self) -> list[float]:
        """Numbers that no leaf takes, and the first ones outside the bounds."""
        outside: list[float] = [math.nan, math.inf, -math.inf, 1e300, -1e300, 2**64, -(2**64), 10**30]
        if self.is_int:
            outside += [int(bound) + step for bound, step in ((self.low, -1), (self.high, 1)) if bound is not None]
        else:
            outside += [
                math.nextafter(bound, way)
                for bound, way in ((self.low, -math.inf), (self.high, math.inf))
                if bound is not None
            ]
        return outside


def numeric_leaves() -> list[Leaf]:
    """Every numeric leaf of every section and of every kind of model."""
    found: list[Leaf] = []
    for name, section in SECTIONS.items():
        for key, info in section_leaves(section, name).items():
            found += _numbers(key, None, info.annotation, info.metadata)
    for kind, family in families().items():
        for key, info in section_leaves(family.section, "model").items():
            found += _numbers(key, kind, info.annotation, info.metadata)
    return found


def _numbers(key: str, kind: str | None, annotation: Any, rules: list[Any], in_list: bool = False) -> list[Leaf]:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [rule for part in parts[1:] for rule in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _numbers(key, kind, parts[0], [*inner, *rules], in_list)
    if origin in (Union, types.UnionType):
        return [leaf for part in parts for leaf in _numbers(key, kind, part, rules, in_list)]
    if origin is list:
        return _numbers(key, kind, parts[0], [], in_list=True)
    if annotation not in (int, float) or not inspect.isclass(annotation):
        return []
    return [Leaf(key, kind, annotation is int, *_bounds(annotation, rules), in_list)]


def _bounds(number: type[float], rules: list[Any]) -> tuple[float | None, float | None]:
    """The lowest and the highest value that rules allow; where a bound is excluded, the number next to it."""
    low: float | None = None
    high: float | None = None
    for rule in rules:
        match rule:
            case annotated_types.Ge(ge=bound):
                low = bound
            case annotated_types.Le(le=bound):
                high = bound
            case annotated_types.Gt(gt=bound):
                low = bound + 1 if number is int else math.nextafter(bound, math.inf)
            case annotated_types.Lt(lt=bound):
                high = bound - 1 if number is int else math.nextafter(bound, -math.inf)
    return low, high
