"""The verbs `report` and `compare`."""

from typing import TYPE_CHECKING, Annotated

import typer

from spectral_search.cli.shared import Json, Results, answering, make_console, make_shown, print_json

if TYPE_CHECKING:
    from spectral_search.report.write_report import Report


def report(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Runs; all finished ones when none is named.")
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="The page [report.html in the results folder]."),
    ] = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page on runs, with its figures and a table of results as files beside it."""
    with answering():
        from spectral_search.service import reports

        made = reports.report(names or [], output, make_shown(as_json), results)
        print_json(made.to_dict()) if as_json else _tell(made)


def _tell(made: "Report") -> None:
    for sentence in made.evidence.stops:
        typer.echo(sentence)
    for finding in sorted(made.evidence.verdicts, key=lambda finding: finding.is_open):
        typer.echo(f"{finding.question} {finding.answer}")
    for note in made.evidence.notes:
        typer.echo(f"note: {note}")
    lacking = [figure.title for figure in made.figures if figure.draw is None]
    if lacking:
        typer.echo(f"no data yet for: {'; '.join(lacking)} (the page says which commands bring them)")
    typer.echo(f"wrote {made.page}, {made.table} and {len(made.files)} files in {made.page.stem}_figures/")


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A run.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Put two runs side by side: specs, best configs, test scores on the same examples, cost, stability of choice."""
    with answering():
        from spectral_search.record.comparison import render_comparison
        from spectral_search.service import reports

        found = reports.compare(first, second, results)
        if as_json:
            print_json(found.to_dict())
        else:
            make_console(False).print(render_comparison(found))
