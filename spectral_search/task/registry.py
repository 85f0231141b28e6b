"""Tasks by name, found as `spec.task_modules` finds them."""

from spectral_search.errors import RequestError
from spectral_search.spec.task_modules import task_object
from spectral_search.task.task import Task


def task_of(name: str) -> Task:
    """The task of a name, or of a .py file.

    Raises:
        RequestError: There is none, or what the name brings is no task.
    """
    found = task_object(name)
    if not isinstance(found, Task):
        raise RequestError(f"What {name} brings as a task is none: it must be a spectral_search.task.task.Task.")
    return found
