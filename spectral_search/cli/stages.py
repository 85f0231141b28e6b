"""The verbs that list stages and spell one out."""

from typing import Annotated

import typer

from spectral_search.cli.shared import Json, Sets, answering, make_console, print_json


def specs(as_json: Json = False) -> None:
    """List the stages that can be run."""
    with answering():
        from spectral_search.record.overview import render_specs
        from spectral_search.spec.load import list_specs

        found = list_specs()
        if as_json:
            print_json([{**vars(info), "path": str(info.path)} for info in found])
        else:
            make_console(False).print(render_specs(found))


def show(
    spec: Annotated[str, typer.Argument(help="A stage or the path of a YAML file.")],
    sets: Sets = None,
    quick: Annotated[bool, typer.Option("--quick", help="As `run --quick` would shrink it.")] = False,
    as_json: Json = False,
) -> None:
    """Print a spec with every default spelt out."""
    with answering():
        from spectral_search.spec.load import load_spec

        found = load_spec(spec, sets=tuple(sets or ()), quick=quick)
        print_json(found.to_dict()) if as_json else typer.echo(found.to_yaml(), nl=False)
