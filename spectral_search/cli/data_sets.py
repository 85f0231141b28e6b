"""The verbs that simulate a data set and look into one."""

import shlex
from typing import Annotated

import typer

from spectral_search.cli.shared import Json, answering, make_console, make_shown, print_json


def simulate(
    directory: Annotated[str, typer.Argument(help="The data root to make.")],
    train: Annotated[int, typer.Option("--train", min=1, help="Training spectra.")] = 32000,
    val: Annotated[int, typer.Option("--val", min=0, help="Val spectra.")] = 10000,
    test: Annotated[int, typer.Option("--test", min=0, help="Test spectra.")] = 10000,
    shards: Annotated[int, typer.Option("--shards", min=1, help="Files that train is cut into.")] = 1,
    pixels: Annotated[int, typer.Option("--pixels", help="Pixels of a spectrum.")] = 4096,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same spectra.")] = 42,
    dtype: Annotated[str, typer.Option("--dtype", help="float64 as real shards, float32 or float16.")] = "float64",
    as_json: Json = False,
) -> None:
    """Write simulated spectra in the layout of real shards. An approximation, no substitute for real spectra."""
    with answering():
        from spectral_search.service import data_sets

        sizes = {"train": train, "val": val, "test": test}
        rest = {"shards": shards, "pixels": pixels, "seed": seed, "dtype": dtype}
        path = data_sets.simulate(directory, make_shown(as_json), **sizes, **rest)
        if as_json:
            print_json({"path": str(path), **sizes, **rest})
        else:
            typer.echo(f"Wrote simulated spectra, an approximation, to {path}.")
            typer.echo(f"Next: spectral-search inspect {shlex.quote(str(path))} --plot spectra.png")


def inspect(
    path: Annotated[str, typer.Argument(help="A shard or a data root.")],
    plot: Annotated[
        str | None, typer.Option("--plot", metavar="FILE", help="Draw sample spectra (png, pdf, svg).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is in a shard or a data root; the exit code is 1 where anything in it is a fault."""
    with answering():
        from spectral_search.service import data_sets

        found = data_sets.inspect(path, plot)
        if as_json:
            print_json(found.to_dict())
        else:
            make_console(False).print(found.render())
            if plot is not None:
                typer.echo(f"wrote {plot}")
        if found.has_faults:
            raise typer.Exit(1)
