"""Training techniques by the names that `fit` gives them: modules of train/techniques, entry points, and what is added.

A name is known by the file that it is of, so that specs are read and refused without torch; what it stands for is
imported when it is first asked for.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from spectral_search.errors import RequestError

FOLDER = Path(__file__).parents[1] / "train" / "techniques"


@cache
def _of_the_package(folder: str) -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules([str(FOLDER / folder)]))


@cache
def _installed(folder: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"spectral_search.{folder}")}


class TechniqueKind:
    """The techniques of one kind.

    Args:
        folder: Of train/techniques, one module each; `spectral_search.FOLDER` is the group of the entry points by which
            other packages bring more.
        attribute: What a module calls its technique.
    """

    def __init__(self, folder: str, attribute: str) -> None:
        self._folder, self._attribute = folder, attribute
        self._found: dict[str, Any] = {}

    def names(self) -> list[str]:
        """Every name that a spec can give, in alphabetical order."""
        return sorted({*_of_the_package(self._folder), *_installed(self._folder), *self._found})

    def add(self, name: str, technique: Any) -> None:
        """Make a technique known that no module of its own brings, such as one of a task."""
        self._found[name] = technique

    def get(self, name: str) -> Any:
        """The technique of a name.

        Raises:
            RequestError: There is none; it names what there is, the nearest spelling first.
        """
        if name not in self._found:
            self._found[name] = self._load(name)
        return self._found[name]

    def _load(self, name: str) -> Any:
        if name in _installed(self._folder):
            return _installed(self._folder)[name].load()
        if name not in _of_the_package(self._folder):
            near = get_close_matches(name, self.names(), n=1)
            meant = f" Did you mean {near[0]}?" if near else ""
            there = ", ".join(self.names())
            raise RequestError(f"There is no {name!r} among the {self._folder}.{meant} There are: {there}.")
        module = importlib.import_module(f"spectral_search.train.techniques.{self._folder}.{name}")
        return getattr(module, self._attribute)


LOSSES = TechniqueKind("losses", "LOSS")
SCHEDULES = TechniqueKind("schedules", "SCHEDULE")
WEIGHT_AVERAGES = TechniqueKind("weight_averages", "WEIGHT_AVERAGE")
AUGMENTATIONS = TechniqueKind("augmentations", "AUGMENTATION")


@dataclass(frozen=True)
class NameOf:
    """Says of a field of a section that it takes the name of a technique.

    Attributes:
        kind: Of which kind.
        beside: Names that it takes besides, such as none.
    """

    kind: TechniqueKind
    beside: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """What the field takes."""
        return [*self.beside, *self.kind.names()]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, name: str) -> str:
        if name not in self.names():
            raise PydanticCustomError("literal_error", "no such technique")
        return name


def names_taken(metadata: Iterable[Any]) -> list[str]:
    """The names of techniques that a field with such metadata takes; none where it takes something else."""
    return [name for rule in metadata if isinstance(rule, NameOf) for name in rule.names()]
