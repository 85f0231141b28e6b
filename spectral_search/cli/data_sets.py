"""The verbs that simulate a data set and look into one."""

from typing import Annotated, Any

import typer

from spectral_search.cli.shared import Json, answering, make_shown
from spectral_search.cli.task_verbs import TaskName, of_task, show_answer


@of_task
def simulate(
    directory: Annotated[str, typer.Argument(help="The data to make.")],
    task: TaskName = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Write a simulated data set of a task."""
    with answering():
        from spectral_search.service import data_sets

        show_answer(data_sets.simulate(directory, make_shown(as_json), task=task, **options), as_json)


@of_task
def inspect(
    path: Annotated[str, typer.Argument(help="The data.")],
    task: TaskName = None,
    as_json: Json = False,
    **options: Any,
) -> None:
    """Show what is in data of a task; the exit code is 1 where anything in them is a fault."""
    with answering():
        from spectral_search.service import data_sets

        show_answer(data_sets.inspect(path, make_shown(as_json), task=task, **options), as_json)
