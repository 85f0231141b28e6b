"""The tasks by name: folders of `spectral_search.tasks`, installed entry points, or a file that a spec names.

A task is found by its name alone, and imported only when it is asked for.
"""

import difflib
import importlib
import importlib.util
import pkgutil
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from spectral_search.errors import RequestError
from spectral_search.task.task import Task

GROUP = "spectral_search.tasks"
"""The entry points by which other packages bring tasks."""
FOLDER = Path(__file__).parents[1] / "tasks"
MODULE, NAME = "definition", "TASK"
"""Where a folder of tasks, or a file, holds its task."""


def task_names() -> list[str]:
    """The tasks that can be named without a file."""
    return sorted({*_own(), *(point.name for point in entry_points(group=GROUP))})


@cache
def task_of(name: str) -> Task:
    """The task of a name, or of a .py file.

    Raises:
        RequestError: There is none; it names what there is, the nearest spelling first.
    """
    if name.endswith(".py"):
        return _from_file(Path(name))
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _checked(point.load(), name)
    if name in _own():
        return _checked(getattr(importlib.import_module(f"spectral_search.tasks.{name}.{MODULE}"), NAME), name)
    near = difflib.get_close_matches(name, task_names(), n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise RequestError(f"There is no task {name!r}.{meant} There are: {', '.join(task_names())}; or give a .py file.")


def _own() -> set[str]:
    return {module.name for module in pkgutil.iter_modules([str(FOLDER)])}


def _from_file(path: Path) -> Task:
    if not path.is_file():
        raise RequestError(f"The task's file {path} does not exist.")
    # By its place: a process of Ray, which unpickles what is defined there, finds it under the same name.
    module_name = f"spectral_search_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise RequestError(f"The task's file {path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    if not hasattr(module, NAME):
        raise RequestError(f"The task's file {path} defines no {NAME}.")
    return _checked(getattr(module, NAME), str(path))


def _checked(found: object, name: str) -> Task:
    if not isinstance(found, Task):
        raise RequestError(f"What {name} brings as a task is none: it must be a spectral_search.task.task.Task.")
    return found
