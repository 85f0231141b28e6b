"""The verb `cache`."""

from typing import Annotated

import typer

from spectral_search.cli.shared import Json, answering, make_console, print_json


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove every entry that no process uses.")] = False,
    as_json: Json = False,
) -> None:
    """List what is kept of fetched data and of what was made of data: its size, its bound, and what can be removed."""
    with answering():
        from spectral_search.run.cache_view import render_cache
        from spectral_search.service import caches

        found = caches.cache(clear=clear)
        if as_json:
            print_json(found)
        else:
            make_console(False).print(render_cache(found), soft_wrap=True)
