"""The tasks by name: folders of `spectral_search.tasks`, installed entry points, or a file that a spec names.

A task is found by its name alone and imported when it is asked for. Of a folder only the data section is imported
here, which is all that a spec needs to know.
"""

import importlib
import importlib.util
import pkgutil
import sys
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.spec.data_section import DataSection

_GROUP = "spectral_search.tasks"
"""Of entry points, and the package of our own."""
DEFAULT_TASK: str = importlib.import_module(_GROUP).DEFAULT
"""The task of a spec that names none."""
_FOLDER = Path(__file__).parents[1] / "tasks"
_DEFINITION, _TASK = "definition", "TASK"
_SECTION, _DATA = "section", "DATA"


def task_names() -> list[str]:
    """The tasks that can be named without a file."""
    return sorted({*_own(), *(point.name for point in entry_points(group=_GROUP))})


@cache
def task_object(name: str) -> object:
    """What a name, or a .py file, brings as a task.

    Raises:
        RequestError: There is none; it names what there is, the nearest spelling first.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    for point in entry_points(group=_GROUP):
        if point.name == name:
            return point.load()
    if name in _own():
        return getattr(importlib.import_module(f"{_GROUP}.{name}.{_DEFINITION}"), _TASK)
    near = get_close_matches(name, task_names(), n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise RequestError(f"There is no task {name!r}.{meant} There are: {', '.join(task_names())}; or give a .py file.")


@cache
def data_section(name: str) -> type[DataSection]:
    """The class of the `data` section of a task.

    Raises:
        RequestError: There is no such task, or it brings no data section.
    """
    if name in _own():
        section = getattr(importlib.import_module(f"{_GROUP}.{name}.{_SECTION}"), _DATA)
    else:
        section = getattr(task_object(name), "data_section", None)
    if not (isinstance(section, type) and issubclass(section, DataSection)):
        raise RequestError(f"The task {name} brings no data_section: a class from spec.data_section.DataSection.")
    return section


def _own() -> set[str]:
    return {module.name for module in pkgutil.iter_modules([str(_FOLDER)])}


def _from_file(path: Path) -> object:
    if not path.is_file():
        raise RequestError(f"The task's file {path} does not exist.")
    # By its name: a process of Ray, which unpickles what is defined there, finds it again.
    module_name = f"spectral_search_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"The task's file {path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    # Before it runs, since dataclasses look their module up there as they are made.
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, _TASK):
        raise RequestError(f"The task's file {path} defines no {_TASK}.")
    return getattr(module, _TASK)
