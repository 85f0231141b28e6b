"""The verb `dashboard`."""

import sys
from typing import Annotated

import typer

from spectral_search.cli.shared import Json, Results, answering, make_shown, print_json


def dashboard(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Run to begin with [the list of all].")] = None,
    port: Annotated[int, typer.Option("--port", help="Port; 0 takes a free one.")] = 0,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="The one address or name to listen on and to be called by; who reaches another than loopback can read "
            "all runs.",
        ),
    ] = "127.0.0.1",
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Serve one live page on this machine: all runs, their curves, leaderboards, failures and time left."""
    with answering():
        from spectral_search.service import live_page

        live_page.dashboard(
            name,
            make_shown(as_json).say,
            results=results,
            host=host,
            port=port,
            ready=_print if as_json else lambda address: None,
        )


def _print(address: str) -> None:
    """At once: what is printed next never comes, and whoever asked waits."""
    print_json({"address": address})
    sys.stdout.flush()
