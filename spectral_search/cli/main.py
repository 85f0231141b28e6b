"""The command line: parse, call service, print.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted with the state kept.
"""

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from spectral_search import __version__
from spectral_search.cli.benchmark import bench
from spectral_search.cli.caches import cache
from spectral_search.cli.data_sets import inspect, simulate
from spectral_search.cli.derived_help import DerivedHelp
from spectral_search.cli.jobs import jobs, logs, submit, work
from spectral_search.cli.live_page import dashboard
from spectral_search.cli.reference_methods import audit, baselines
from spectral_search.cli.reports import compare, report
from spectral_search.cli.runs import resume, retry, run, status, stop, train
from spectral_search.cli.shared import PROGRAM, answering
from spectral_search.cli.stacks import stack
from spectral_search.cli.stages import show, specs
from spectral_search.cli.streams import guarded, lost_output, lost_sentence
from spectral_search.cli.task_verbs import OfTask
from spectral_search.cli.trained_models import best, evaluate, export, predict
from spectral_search.places import require_text
from spectral_search.terminal import degrade, take_signals

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Search hyperparameters of neural networks: the best one for a task with the least compute.",
    epilog="First steps: `spectral-search specs`, then `spectral-search run STAGE --quick`.",
)
_VERBS = (
    *(run, resume, retry, stop, status, specs, show, best, export, train, stack, simulate, inspect, evaluate, predict),
    *(baselines, audit, report, compare, dashboard, cache, bench, submit, jobs, logs),
)
_OF_A_TASK = (simulate, inspect, baselines, audit)


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _verb in _VERBS:
    app.command(cls=OfTask if _verb in _OF_A_TASK else DerivedHelp)(_verb)
app.command(hidden=True)(work)


def main() -> NoReturn:
    """The entry point."""
    # OpenMP's threads wait for each other by spinning. Where cores are shared with other processes, they so keep the
    # thread that they wait for off its core: steps of small networks took 30 times as long. Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    degrade()
    take_signals()
    with guarded():
        code = _answer()
        fault = lost_output()
        if fault is not None and not code:
            code = 1
            if fault.errno != errno.EPIPE:  # whoever stopped reading knows
                typer.echo(f"error: {lost_sentence(fault)}", err=True)
    sys.exit(code)


def _answer() -> int:
    """Carry out the command line; its exit code."""
    try:
        with answering():
            # Also what names no path ends in records and in Ray's, which are UTF-8.
            for argument in sys.argv[1:]:
                require_text(Path(argument))
            return app(prog_name=PROGRAM, standalone_mode=False) or 0
    except typer.TyperException as fault:
        # A usage error in the style of all others: one sentence, and where to read on.
        context = getattr(fault, "ctx", None)
        command = PROGRAM if context is None else context.command_path
        typer.echo(f"error: {fault.format_message().rstrip('.')} (see `{command} --help`).", err=True)
        return 2
    except typer.Exit as end:
        return end.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
