"""The families of networks by the `model.kind` of their section: those of the package and those that others install.

They are found by name and imported when first asked for.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny

from spectral_search.errors import RequestError
from spectral_search.spec.family import Family
from spectral_search.spec.model_section import ModelSection

GROUP = "spectral_search.models"
"""The entry points by which other packages bring families."""
FOLDER = Path(__file__).parents[1] / "models" / "families"
_NAME = "FAMILY"
"""What a module of the folder calls its family."""


@cache
def families() -> Mapping[str, Family[Any]]:
    """Every family by its kind, those of the package first, each part in the order of its names.

    Raises:
        RequestError: An entry point brings something else, or two families have one kind.
    """
    own = sorted(module.name for module in pkgutil.iter_modules([str(FOLDER)]))
    found = [getattr(importlib.import_module(f"spectral_search.models.families.{name}"), _NAME) for name in own]
    found += [_loaded(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]
    by_kind: dict[str, Family[Any]] = {}
    for family in found:
        if not isinstance(family, Family):
            raise RequestError(f"An entry point of {GROUP} brings {family!r}; it must be a spec.family.Family")
        if family.kind in by_kind:
            raise RequestError(f"Two families of networks are called {family.kind}; uninstall or rename one")
        by_kind[family.kind] = family
    return MappingProxyType(by_kind)


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise RequestError(f"The family of networks {point.name} ({point.value}) does not load: {error}") from error


def family_of(kind: str) -> Family[Any]:
    """The family of a `model.kind`.

    Raises:
        RequestError: There is none; it names what there is, the nearest spelling first.
    """
    if kind not in families():
        near = get_close_matches(kind, families(), n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise RequestError(f"model.kind must be one of {', '.join(families())}, found {kind}{meant}")
    return families()[kind]


def kinds_without_neighbours() -> str:
    """The kinds that read pixels in any order, as words for a sentence that says what would do."""
    return " or ".join(kind for kind, family in families().items() if not family.needs_neighbours)


def _section_of_its_kind(raw: Any) -> ModelSection:
    if isinstance(raw, ModelSection):
        return raw
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
        raise ValueError("a model section must be keys and values with a kind")
    section: ModelSection = family_of(raw["kind"]).section.model_validate(raw)
    return section


ModelSpec = Annotated[SerializeAsAny[ModelSection], PlainValidator(_section_of_its_kind)]
"""A `model` section in another: of the class that its kind has."""
