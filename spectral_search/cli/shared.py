"""What every verb of the command line shares: its options, its errors and where it prints."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectral_search.errors import OutputClosedError, RequestError, RunError

if TYPE_CHECKING:
    from rich.console import Console

    from spectral_search.service.shown import Shown

PROGRAM = "spectral-search"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Results = Annotated[
    str | None,
    typer.Option("--results", metavar="DIR", help="Results folder [./ray_results, or SPECTRAL_SEARCH_RESULTS]."),
]
DataRoot = Annotated[
    list[str] | None,
    typer.Option(
        "--data-root",
        metavar="DIR",
        help="Data root, where the data of the task are; repeat it or use a glob, or s3://BUCKET/FOLDER [DATA_ROOT].",
    ),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any key, such as fit.batch_size=512.")
]
NumTrain = Annotated[int | None, typer.Option("--num-train", help="Most training examples.")]

FromCluster = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", help="Ask this cluster, where the results folder cannot be seen."),
]


@contextmanager
def answering() -> Iterator[None]:
    """Turn what a verb raises into one plain sentence each and the exit code that says whose fault it was."""
    try:
        yield
    except RequestError as error:
        from spectral_search.record.fetched_data import told_text

        for fault in error.faults:
            typer.echo(f"error: {told_text(fault)}", err=True)
        raise typer.Exit(2) from None
    except OutputClosedError:
        raise typer.Exit(1) from None
    except RunError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def make_console(as_json: bool) -> "Console":
    from rich.console import Console

    return Console(stderr=as_json)


def make_shown(as_json: bool) -> "Shown":
    from spectral_search.service.shown import Shown

    console = make_console(as_json)
    return Shown(console, lambda title: _progress_bar(console, title))


def _progress_bar(console: "Console", title: str) -> Callable[[int, int], None]:
    """A bar in a terminal, a line every tenth elsewhere."""
    if not console.is_terminal:
        said = 0

        def tell(done: int, total: int) -> None:
            nonlocal said
            if done * 10 // max(1, total) > said or done == total:
                said = done * 10 // max(1, total)
                console.print(f"{title}: {done:,} of {total:,}", highlight=False)

        return tell
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    bar = Progress(*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    task = bar.add_task(title)

    def advance(done: int, total: int) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return advance


def print_json(document: Any) -> None:
    """Plain values as strict JSON text; NaN and infinities become null."""
    from spectral_search.record.durable import plain

    sys.stdout.write(json.dumps(plain(document), indent=2, allow_nan=False) + "\n")
