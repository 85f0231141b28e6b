"""The verb `bench`: what it takes and where its tables go."""

import json
import sys
from typing import Annotated

import typer

from spectral_search.cli.shared import Json, answering, make_shown


def bench(
    parts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PART]...",
            help="reading, compress, training, packs, search, overhead, efficiency, page (these when none is named), "
            "growth, gpu.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes, to see that it runs.")] = False,
    figures: Annotated[
        str | None, typer.Option("--figures", metavar="DIR", help="Draw what packs, efficiency and growth found.")
    ] = None,
    record: Annotated[
        str | None, typer.Option("--record", metavar="FILE", help="Append the document to a file of JSON lines.")
    ] = None,
    curves: Annotated[
        str | None,
        typer.Option("--curves", metavar="FILE", help="For efficiency: recorded tasks (.npz) to replay searches on."),
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option("--examples", metavar="N", help="For search: on N training examples, beside Ray Tune alone."),
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="For search: of another task, beside Ray Tune.")
    ] = None,
    data_root: Annotated[
        str | None,
        typer.Option("--data-root", metavar="FILE", help="For search --task: a zip of images, or a CSV of readings."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure reading, training and whole searches beside their floors and peers; ends in one JSON line."""
    with answering():
        from spectral_search.service import benchmark

        document = benchmark.bench(
            tuple(parts or ()),
            make_shown(as_json),
            quick=quick,
            figures=figures,
            record=record,
            curves=curves,
            examples=examples,
            task=task,
            data_root=data_root,
        )
        sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
