"""The verbs `baselines` and `audit`."""

from typing import Annotated, Any

import typer

from spectral_search.cli.shared import DataRoot, Json, NumTrain, Results, answering, make_shown
from spectral_search.cli.task_verbs import TaskName, of_task, show_answer


@of_task
def baselines(
    data_root: DataRoot = None,
    num_train: NumTrain = None,
    like: Annotated[
        str | None,
        typer.Option("--like", metavar="NAME", help="Take the data of this run, as it has split and prepared them."),
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of data, as in `run`.")
    ] = None,
    results: Results = None,
    task: TaskName = None,
    as_json: Json = False,
    **own: Any,
) -> None:
    """Fit what networks are measured against on the data of a search; what is done is kept."""
    with answering():
        from spectral_search.service import reference_methods
        from spectral_search.service.run_options import RunOptions

        options = RunOptions(
            data_root=tuple(data_root or ()), sets=tuple(sets or ()), num_train=num_train, results=results
        )
        try:
            found = reference_methods.baselines(options, make_shown(as_json), like=like, task=task, **own)
        except KeyboardInterrupt:
            typer.echo("Interrupted; finished baselines are kept: the same command fits the others.", err=True)
            raise typer.Exit(130) from None
        show_answer(found, as_json)


@of_task
def audit(
    data_root: DataRoot = None, results: Results = None, task: TaskName = None, as_json: Json = False, **own: Any
) -> None:
    """Look for what makes numbers on a data set misleading."""
    with answering():
        from spectral_search.service import reference_methods
        from spectral_search.service.run_options import RunOptions

        options = RunOptions(data_root=tuple(data_root or ()), results=results)
        show_answer(reference_methods.audit(options, make_shown(as_json), task=task, **own), as_json)
