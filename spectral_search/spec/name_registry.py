"""What a spec asks for by name: modules of this package that end alike, and what installed packages bring.

A name is known without importing what it stands for, so that a spec is read without it. Adding one is adding a module
`NAME_proposer.py` or `NAME_loss.py` to the folder, or, in another package, declaring an entry point of the group.
"""

import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from spectral_search.errors import RequestError
from spectral_search.spec.spelling import nearest

_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Registry:
    """Things of one kind by name. As the annotation of a key, the key takes their names and nothing else.

    Attributes:
        kind: What one is called.
        folder: The folder of this package that holds our own.
        group: The entry points by which other packages bring theirs.
    """

    kind: str
    folder: str
    group: str
    _added: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def add(self, name: str, thing: Any) -> None:
        """Make known what no module of its own brings, such as something of a task."""
        self._added[name] = thing

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._own, *self._added, *(point.name for point in entry_points(group=self.group))})

    def find(self, name: str) -> Any:
        """What a name stands for.

        Raises:
            RequestError: Nothing; it names what there is, the nearest spelling first.
        """
        if name in self._added:
            return self._added[name]
        if name in self._own:
            module = f"{_PACKAGE.name}.{self.folder.replace('/', '.')}.{self._own[name]}"
            return getattr(importlib.import_module(module), self.kind.upper())
        for point in entry_points(group=self.group, name=name):
            return point.load()
        near = nearest(name, self.names)
        meant = f" Did you mean {near}?" if near else ""
        raise RequestError(
            f"There is no {self.kind.replace('_', ' ')} {name!r}.{meant} There are: {', '.join(self.names)}."
        )

    def is_own(self, name: str) -> bool:
        """Whether a module of this package brings it, under that name."""
        return name in self._own and name not in self._added

    # Works although the class is frozen: the value goes straight into the object's __dict__.
    @cached_property
    def _own(self) -> dict[str, str]:
        ending, modules = f"_{self.kind}", pkgutil.iter_modules([str(_PACKAGE / self.folder)])
        return {module.name.removesuffix(ending): module.name for module in modules if module.name.endswith(ending)}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, name: str) -> str:
        # What other packages bring is looked up last: reading all their metadata takes a while.
        if name not in self._own and name not in self.names:
            raise PydanticCustomError("unknown_name", "unknown name")
        return name


PROPOSERS = Registry("proposer", "strategy", "spectral_search.proposers")
"""Who says what is tried next: `search.sampler`."""
RULES = Registry("rule", "strategy", "spectral_search.rules")
"""Who says what is stopped: `search.pruner`."""
PAUSES = Registry("pause", "strategy", "spectral_search.pauses")
"""Who says where nothing more is tried, trials having failed there: `search.pause`."""
LOGGERS = Registry("logger", "run/loggers", "spectral_search.loggers")
"""Where epochs are shown beside the run's own record: `search.loggers`."""
LOSSES = Registry("loss", "train/techniques", "spectral_search.losses")
"""What training makes small: `fit.loss`."""
SCHEDULES = Registry("schedule", "train/techniques", "spectral_search.schedules")
"""How learning rates change: `fit.schedule`."""
WEIGHT_AVERAGES = Registry("weight_average", "train/techniques", "spectral_search.weight_averages")
"""What weights networks are measured and kept with: `fit.weight_average`."""
AUGMENTATIONS = Registry("augmentation", "train/techniques", "spectral_search.augmentations")
"""How training inputs are changed: the `kind` of an item of `fit.augment`."""
