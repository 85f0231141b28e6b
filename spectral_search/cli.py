"""The command line: parse, call service, print.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted with the state kept.
"""

import errno
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from spectral_search import __version__
from spectral_search.cli_baselines import audit, baselines
from spectral_search.cli_bench import bench
from spectral_search.cli_cache import cache
from spectral_search.cli_report import compare, report
from spectral_search.cli_shared import (
    DataRoot,
    Json,
    NumTrain,
    Results,
    answering,
    make_console,
    make_shown,
    print_json,
)
from spectral_search.errors import OutputClosedError, RequestError
from spectral_search.places import require_text
from spectral_search.streams import guarded, lost_output, lost_sentence, require_output
from spectral_search.terminal import degrade, take_signals

if TYPE_CHECKING:
    from rich.console import Console

    from spectral_search.service import RunOptions, RunRecord

PROGRAM = "spectral-search"

app = typer.Typer(
    add_completion=False,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Search hyperparameters of neural networks that predict log g from stellar spectra.",
    epilog="First steps: `spectral-search specs`, then `spectral-search run cnn_stage1a --quick`.",
)

Name = Annotated[str | None, typer.Option("--name", help="Name of the run [the stage's, numbered].")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Most epochs of a trial.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override any key, such as fit.batch_size=512.")
]
Gpus = Annotated[str | None, typer.Option("--gpus", help="GPU indices, such as 0,1; `none` runs on the CPU.")]
Concurrent = Annotated[int | None, typer.Option("--concurrent", help="Most trials at a time.")]
Address = Annotated[str | None, typer.Option("--address", help="Ray cluster to join, HOST:PORT.")]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="auto|shared|separate|inline",
        help="shared: trials in one pass over the data; separate: a process a trial; inline: this process, no Ray.",
    ),
]
Observed = Annotated[
    bool, typer.Option("--observed", help="The flux is as observed: add no noise to it (where shards hold none).")
]
Dashboard = Annotated[
    bool | None, typer.Option("--dashboard/--no-dashboard", help="Ray's dashboard, on loopback [on, off with --quick].")
]


def _run_options(
    *,
    gpus: str | None,
    data_root: list[str] | None,
    sets: list[str] | None,
    executor: str,
    dashboard: bool | None,
    **rest: Any,
) -> "RunOptions":
    from spectral_search.service import RunOptions

    return RunOptions(
        data_root=tuple(data_root or ()),
        sets=tuple(sets or ()),
        gpus=_gpu_indices(gpus),
        executor=executor,
        dashboard=not rest.get("quick", False) if dashboard is None else dashboard,
        **rest,
    )


def _gpu_indices(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if text.strip().lower() in ("none", ""):
        return ()
    if not all(part.strip().isdigit() for part in text.split(",")):
        raise RequestError(f"--gpus must be indices such as 0,1, or none for the CPU, found {text!r}.")
    return tuple(int(part) for part in text.split(","))


def _command() -> list[str]:
    return [PROGRAM, *sys.argv[1:]]


def _carry_out(
    begin: Callable[[], str], work: Callable[[str], "RunRecord"], as_json: bool, results: str | None
) -> None:
    """Do a run's work under the name that `begin` gives and print its leaderboard or its JSON document."""
    from spectral_search import service

    name = ""
    try:
        name = begin()
        record = work(name)
    except (KeyboardInterrupt, OutputClosedError):
        if not name or not service.exists(name, results):
            typer.echo("Interrupted before the run began.", err=True)
            raise typer.Exit(130) from None
        again = [PROGRAM, "resume", name, *(["--results", results] if results else [])]
        typer.echo(f"Interrupted; everything so far is kept. Go on with: {shlex.join(again)}", err=True)
        if as_json:
            print_json(service.document(service.status(name, results)))
        raise typer.Exit(130) from None
    for sentence in service.stop_signals(record):
        typer.echo(sentence, err=as_json)
    if as_json:
        print_json(service.document(record))
    else:
        console = make_console(as_json)
        console.print(service.leaderboard_view(record))
        for line in service.next_steps(record, results):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if record.state == "failed":
        raise typer.Exit(1)


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


@app.command()
def run(
    spec: Annotated[str, typer.Argument(help="A stage, such as cnn_stage1a, or the path of a YAML file.")],
    data_root: DataRoot = None,
    name: Name = None,
    num_train: NumTrain = None,
    trials: Annotated[int | None, typer.Option("--trials", help="Trials of the search.")] = None,
    epochs: Epochs = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="random, tpe, grid or gp.")] = None,
    input_kind: Annotated[
        str | None,
        typer.Option("--input", metavar="KIND", help="What networks see: signal, denoised, standardize, ..."),
    ] = None,
    sets: Set = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved plan and start nothing.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Shrink the stage to minutes on two CPU cores.")] = False,
    executor: Executor = "auto",
    dashboard: Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Run a staged search to a leaderboard and an exported best config."""
    with answering():
        options = _run_options(
            data_root=data_root,
            name=name,
            num_train=num_train,
            trials=trials,
            epochs=epochs,
            sampler=sampler,
            input_kind=input_kind,
            sets=sets,
            gpus=gpus,
            concurrent=concurrent,
            address=address,
            quick=quick,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        _run(spec, options, dry_run, as_json)


def _run(ref: str, options: "RunOptions", dry_run: bool, as_json: bool) -> None:
    from spectral_search import service

    shown = make_shown(as_json)
    made = service.plan(ref, options, shown, dry_run=dry_run)
    name = service.run_name(made.spec, options, dry_run=dry_run)
    if dry_run and as_json:
        print_json({"name": name, **made.document()})
        return
    shown.console.print(service.plan_view(made))
    shown.say(f"\nname: {name}, in {service.run_folder(name, options.results)}")
    if dry_run:
        return
    require_output()
    shown.console.print()
    _carry_out(
        lambda: service.begin(made, name, options, shown, _command()),
        lambda taken: service.search(made, taken, options, shown),
        as_json,
        options.results,
    )


@app.command()
def resume(
    name: Annotated[str, typer.Argument(help="The run.")],
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="Extend the search to so many trials.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Let complete trials go on to so many epochs.")
    ] = None,
    data_root: DataRoot = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    executor: Executor = "auto",
    dashboard: Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted run, or extend a finished one; the data may have moved and the devices be others."""
    with answering():
        from spectral_search import service

        options = _run_options(
            trials=trials,
            epochs=epochs,
            data_root=data_root,
            sets=None,
            gpus=gpus,
            concurrent=concurrent,
            address=address,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        shown = make_shown(as_json)
        _carry_out(lambda: name, lambda taken: service.resume(taken, options, shown, _command()), as_json, results)


@app.command()
def stop(
    name: Annotated[str, typer.Argument(help="The run.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Stop a running search on this machine; its state is kept."""
    with answering():
        from spectral_search import service

        stopped = service.stop(name, results)
        if as_json:
            print_json({"name": name, "stopping": stopped})
        else:
            typer.echo(f"{name} is stopping; `spectral-search resume {name}` goes on." if stopped else "Not running.")


@app.command()
def status(
    name: Annotated[str | None, typer.Argument(help="A run; all runs when absent.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it is over.")] = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Show the runs of the results folder, or one run's leaderboard so far."""
    with answering():
        from spectral_search import service

        if name is None and watch:
            raise RequestError("--watch follows one run: name it.")
        if name is None:
            found = service.runs(results)
            print_json([service.summary_document(run) for run in found]) if as_json else make_console(False).print(
                service.runs_view(found)
            )
            return
        record = _watched(name, results, as_json) if watch else service.status(name, results)
        if as_json:
            print_json(service.document(record))
        elif not watch:
            _show_record(make_console(False), record)


def _show_record(console: "Console", record: "RunRecord") -> None:
    from spectral_search import service

    console.print(service.leaderboard_view(record))
    console.print(service.disk_line(record), markup=False, highlight=False, soft_wrap=True)


def _watched(name: str, results: str | None, as_json: bool) -> "RunRecord":
    """Follow a run: redrawn in place in a terminal, elsewhere a line when an epoch or a state has come."""
    from rich.live import Live

    from spectral_search import service

    console, seen = make_console(as_json), None
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            return service.follow(
                name, results, lambda record: live.update(service.leaderboard_view(record), refresh=True)
            )

    def tell(record: "RunRecord") -> None:
        nonlocal seen
        now = (record.state, record.epochs_trained)
        if now != seen:
            console.print(service.progress_line(record), markup=False, highlight=False, soft_wrap=True)
            require_output()  # there is nothing else to go on for
        seen = now

    record = service.follow(name, results, tell)
    if not as_json:
        _show_record(console, record)
    return record


@app.command()
def specs(as_json: Json = False) -> None:
    """List the stages that can be run."""
    with answering():
        from spectral_search import service

        found = service.specs()
        if as_json:
            print_json([{**vars(info), "path": str(info.path)} for info in found])
        else:
            make_console(False).print(service.specs_view(found))


@app.command()
def show(
    spec: Annotated[str, typer.Argument(help="A stage or the path of a YAML file.")],
    sets: Set = None,
    quick: Annotated[bool, typer.Option("--quick", help="As `run --quick` would shrink it.")] = False,
    as_json: Json = False,
) -> None:
    """Print a spec with every default spelt out."""
    with answering():
        from spectral_search import service

        found = service.show_spec(spec, sets=tuple(sets or ()), quick=quick)
        print_json(found.to_dict()) if as_json else typer.echo(found.to_yaml(), nl=False)


@app.command()
def best(
    name: Annotated[str, typer.Argument(help="The run.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Print the best config of a run as YAML that `train` and `run` accept."""
    with answering():
        from spectral_search import service

        config, document = service.best(name, results)
        print_json(document) if as_json else typer.echo(config, nl=False)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="The run.")],
    output: Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="YAML file of the best config.")],
    top: Annotated[int, typer.Option("--top", min=1, help="Export this many configs: FILE, FILE-2, ...")] = 1,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Write the best configs with weights, preprocessing and provenance."""
    with answering():
        from spectral_search import service

        files = service.export(name, output, top, results)
        print_json({"files": [str(file) for file in files]}) if as_json else _tell_files(files)


def _tell_files(files: list[Any]) -> None:
    for file in files:
        typer.echo(f"wrote {file}")
    first = shlex.quote(str(files[0]))
    typer.echo(f"Next: spectral-search train {first}, or evaluate {first} --data PATH")


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="An exported YAML file, or a folder with config.yaml.")],
    data_root: DataRoot = None,
    name: Name = None,
    num_train: NumTrain = None,
    epochs: Epochs = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Retrain with this many seeds.")] = 3,
    sets: Set = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    executor: Executor = "auto",
    dashboard: Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Retrain one config, on more data or for longer, with several seeds."""
    with answering():
        from spectral_search import service

        options = _run_options(
            data_root=data_root,
            name=name,
            num_train=num_train,
            epochs=epochs,
            sets=sets,
            gpus=gpus,
            concurrent=concurrent,
            address=address,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        _run(*service.train_spec(config, options, seeds), False, as_json)


@app.command()
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
        from spectral_search import service

        sizes = {"train": train, "val": val, "test": test}
        rest = {"shards": shards, "pixels": pixels, "seed": seed, "dtype": dtype}
        path = service.simulate(directory, make_shown(as_json), **sizes, **rest)
        if as_json:
            print_json({"path": str(path), **sizes, **rest})
        else:
            typer.echo(f"Wrote simulated spectra, an approximation, to {path}.")
            typer.echo(f"Next: spectral-search inspect {shlex.quote(str(path))} --plot spectra.png")


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A shard or a data root.")],
    plot: Annotated[
        str | None, typer.Option("--plot", metavar="FILE", help="Draw sample spectra (png, pdf, svg).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is in a shard or a data root; the exit code is 1 where anything in it is a fault."""
    with answering():
        from spectral_search import service

        found = service.inspect(path, plot)
        if as_json:
            print_json(found.to_dict())
        else:
            make_console(False).print(found.render())
            if plot is not None:
                typer.echo(f"wrote {plot}")
        if found.has_faults:
            raise typer.Exit(1)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="An exported YAML file, a folder with config.yaml, or a run.")],
    data: Annotated[str, typer.Option("--data", metavar="PATH", help="A shard or a data root.")],
    part: Annotated[
        str, typer.Option("--part", help="Of a data root: auto (test, else val), train, val or test.")
    ] = "auto",
    observed: Observed = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """R2, MAE and RMSE of a model; --part val gives the leaderboard's number again."""
    with answering():
        from spectral_search import service

        scores = service.evaluate(model, data, part, results, observed=observed)
        if as_json:
            print_json(scores)
            return
        typer.echo(
            f"R2 {scores['r2']:.4f}, MAE {scores['mae_dex']:.4f} dex, RMSE {scores['rmse_dex']:.4f} dex on "
            f"{scores['spectra']:,} spectra ({scores['part']}; {scores['noise']})"
        )
        if note := scores.get("note"):
            typer.echo(note)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(help="An exported YAML file, a folder with config.yaml, or a run.")],
    path: Annotated[str, typer.Argument(help="A shard or a data root.")],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="Table to write: .csv, .parquet, .fits or .ecsv.")
    ],
    observed: Observed = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Write predicted log g of every spectrum."""
    with answering():
        from spectral_search import service

        made = service.predict(model, path, output, results, observed=observed)
        if as_json:
            print_json({"file": output, "spectra": len(made.table), "noise": made.noise})
        else:
            typer.echo(f"wrote {output}: {len(made.table):,} spectra ({made.noise})")


for verb in (baselines, audit, report, compare, cache, bench):
    app.command()(verb)


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
