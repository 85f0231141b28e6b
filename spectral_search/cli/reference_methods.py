"""The verbs `baselines` and `audit`."""

from typing import Annotated

import typer

from spectral_search.cli.shared import (
    DataRoot,
    Json,
    NumTrain,
    Results,
    answering,
    make_console,
    make_shown,
    print_json,
)
from spectral_search.errors import RequestError


def baselines(
    data_root: DataRoot = None,
    num_train: NumTrain = None,
    noise_level: Annotated[
        float | None, typer.Option("--noise-level", min=0.0, help="Factor on the error [1.0].")
    ] = None,
    like: Annotated[
        str | None, typer.Option("--like", metavar="NAME", help="Take split, noise and preprocessing of this run.")
    ] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of data, as in `run`.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Some of ridge,lightgbm,oracle_mixture,ceiling [all].")
    ] = None,
    reads: Annotated[
        str | None,
        typer.Option("--input", help="What all but the ceiling read: pixels or signal [the run's, else pixels]."),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Fit also what is stored already.")] = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Fit Ridge, LightGBM, an oracle mixture and the ceiling on the spectra of a search; what is done is kept."""
    with answering():
        from spectral_search.record.kept_baselines import document, render_baselines
        from spectral_search.service import reference_methods
        from spectral_search.service.run_options import RunOptions

        options = RunOptions(
            data_root=tuple(data_root or ()), sets=tuple(sets or ()), num_train=num_train, results=results
        )
        names = [name.strip().replace("-", "_") for name in (only or "").split(",") if name.strip()]
        if only is not None and not names:
            raise RequestError("--only names no method: name some, or leave it out for all.")
        try:
            found = reference_methods.baselines(
                options, make_shown(as_json), noise_level=noise_level, like=like, only=names, again=again, reads=reads
            )
        except KeyboardInterrupt:
            typer.echo("Interrupted; finished baselines are kept: the same command fits the others.", err=True)
            raise typer.Exit(130) from None
        print_json(document(found)) if as_json else make_console(False).print(render_baselines(found))


def audit(data_root: DataRoot = None, results: Results = None, as_json: Json = False) -> None:
    """Look for leaks, wrong noise, spectra in both train and test, and shards that differ."""
    with answering():
        from spectral_search.record.kept_baselines import render_audit
        from spectral_search.service import reference_methods
        from spectral_search.service.run_options import RunOptions

        options = RunOptions(data_root=tuple(data_root or ()), results=results)
        found = reference_methods.audit(options, make_shown(as_json))
        print_json(found) if as_json else make_console(False).print(render_audit(found))
