"""The verbs for what a search found: its best configs, and models on data."""

import shlex
from typing import Annotated, Any

import typer

from spectral_search.cli.shared import Json, Results, answering, make_shown, print_json

_DATA_HELP = "Data of the model's task: a root or a file, or what its own page calls the data that it has by default."
_Observed = Annotated[
    bool, typer.Option("--observed", help="The data are as observed: add no noise to them (where they hold none).")
]


def best(
    name: Annotated[str, typer.Argument(help="The run.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Print the best config of a run as YAML that `train` and `run` accept."""
    with answering():
        from spectral_search.service import trained_models

        config, document = trained_models.best(name, results)
        print_json(document) if as_json else typer.echo(config, nl=False)


def export(
    name: Annotated[str, typer.Argument(help="The run.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="YAML file of the best config.")],
    top: Annotated[int, typer.Option("--top", min=1, help="Export this many configs: FILE, FILE-2, ...")] = 1,
    unlike: Annotated[
        bool, typer.Option("--unlike", help="Trials that differ in their model section, the best of each; -o FOLDER.")
    ] = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Write the best configs with weights, preprocessing and provenance."""
    with answering():
        from spectral_search.service import trained_models

        if unlike:
            document, lines = trained_models.export_unlike(name, output, top, results)
            print_json(document) if as_json else typer.echo("\n".join(lines))
            return
        files = trained_models.export(name, output, top, results)
        print_json({"files": [str(file) for file in files]}) if as_json else _tell_files(files)


def _tell_files(files: list[Any]) -> None:
    for file in files:
        typer.echo(f"wrote {file}")
    first = shlex.quote(str(files[0]))
    typer.echo(f"Next: spectral-search train {first}, or evaluate {first} --data PATH")


def evaluate(
    model: Annotated[str, typer.Argument(help="An exported YAML file, a folder with config.yaml, or a run.")],
    data: Annotated[str, typer.Option("--data", metavar="PATH", help=_DATA_HELP)],
    part: Annotated[
        str, typer.Option("--part", help="Of a data root: auto (test, else val), train, val or test.")
    ] = "auto",
    observed: _Observed = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Scores of a model by the metrics of its task; --part val gives the leaderboard's number again."""
    with answering():
        from spectral_search.service import trained_models

        scores = trained_models.evaluate(model, data, part, results, observed=observed, shown=make_shown(as_json))
        if as_json:
            print_json(scores)
            return
        typer.echo(trained_models.told_scores(model, scores, results))
        if note := scores.get("note"):
            typer.echo(note)


def predict(
    model: Annotated[str, typer.Argument(help="An exported YAML file, a folder with config.yaml, or a run.")],
    path: Annotated[str, typer.Argument(help=_DATA_HELP)],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Table to write: .csv, .parquet, .fits or .ecsv.")
    ],
    observed: _Observed = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Write what a model predicts for every example."""
    with answering():
        from spectral_search.service import trained_models

        made = trained_models.predict(model, path, output, results, observed=observed, shown=make_shown(as_json))
        if as_json:
            print_json({"file": output, **made})
        else:
            (examples, count), *rest = made.items()
            told = "".join(f" ({text})" for _, text in rest)
            typer.echo(f"wrote {output}: {count:,} {examples}{told}")
