"""Data sets: simulated, and looked into."""

from typing import TYPE_CHECKING, Any

from spectral_search.places import given_path
from spectral_search.service.fetched import local_data
from spectral_search.service.shown import Shown, silent
from spectral_search.service.task_verbs import on_path

if TYPE_CHECKING:
    from spectral_search.task.verbs import Answer


def simulate(directory: str, shown: Shown, *, task: str | None = None, **options: Any) -> "Answer":
    """Write a simulated data set.

    Args:
        directory: The folder to make.
        shown: Where progress is shown.
        task: Whose data; a name or a .py file.
        options: What the task's `simulate` takes.

    Raises:
        RequestError: The task cannot, an option is wrong, or the folder cannot be written.
    """
    return on_path("simulate", given_path(directory, "The folder to simulate into"), task, options, shown)


def inspect(path: str, shown: Shown | None = None, *, task: str | None = None, **options: Any) -> "Answer":
    """Look into data.

    Args:
        path: The data.
        shown: Where progress is shown.
        task: Whose data; a name or a .py file.
        options: What the task's `inspect` takes.

    Raises:
        RequestError: The task cannot, an option is wrong, or the data cannot be read.
    """
    audience = shown or silent()
    return on_path("inspect", local_data(path, "The data", audience), task, options, audience)
