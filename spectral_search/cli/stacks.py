"""The verb that makes one model of several."""

from typing import Annotated

import typer

from spectral_search.cli.shared import Json, Results, answering, make_shown, print_json


def stack(
    models: Annotated[list[str], typer.Argument(help="Exported YAML files, folders of them, or runs; two or more.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="YAML file of the stack.")],
    data_root: Annotated[
        str, typer.Option("--data-root", metavar="DIR", envvar="DATA_ROOT", help="The data that the models are of.")
    ],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Fit LightGBM to what models predict for val, by folds, and compare it on test with each, their mean and vote."""
    with answering():
        from spectral_search.service import stacks

        document, lines = stacks.stack(models, output, data_root, results, make_shown(as_json))
        print_json(document) if as_json else typer.echo("\n".join(lines))
