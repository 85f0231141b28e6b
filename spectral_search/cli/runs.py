"""The verbs that begin, carry out, stop and follow runs."""

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spectral_search.cli.shared import (
    PROGRAM,
    DataRoot,
    FromCluster,
    Json,
    NumTrain,
    Results,
    Sets,
    answering,
    make_console,
    make_shown,
    print_json,
)
from spectral_search.cli.streams import require_output
from spectral_search.errors import OutputClosedError, RequestError

if TYPE_CHECKING:
    from rich.console import Console

    from spectral_search.record.run_records import RunRecord
    from spectral_search.service.run_options import RunOptions

Name = Annotated[str | None, typer.Option("--name", help="Name of the run [the stage's, numbered].")]
Trials = Annotated[int | None, typer.Option("--trials", help="Trials of a search.")]
Sampler = Annotated[str | None, typer.Option("--sampler", help="Who proposes trials: {search.sampler}.")]
InputKind = Annotated[
    str | None, typer.Option("--input", metavar="KIND", help="What networks see; of {task}: {data.input.kind}.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Shrink a stage to minutes on two CPU cores.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Most epochs of a trial.")]
Gpus = Annotated[str | None, typer.Option("--gpus", help="GPU indices, such as 0,1; `none` runs on the CPU.")]
Concurrent = Annotated[int | None, typer.Option("--concurrent", help="Most trials at a time.")]
Address = Annotated[str | None, typer.Option("--address", help="Ray cluster to join, HOST:PORT; `none`: this machine.")]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="auto|shared|separate|inline",
        help="shared: trials in one pass over the data; separate: a process a trial; inline: this process, no Ray.",
    ),
]
CopyTo = Annotated[
    str | None,
    typer.Option(
        "--copy-to", metavar="URL", help="Copy the run below s3://BUCKET/FOLDER as it goes on; `none`: nowhere."
    ),
]
_Dashboard = Annotated[
    bool | None, typer.Option("--dashboard/--no-dashboard", help="Ray's dashboard, on loopback [on, off with --quick].")
]


def run(
    spec: Annotated[str, typer.Argument(help="A stage, such as cnn_stage1a (`specs` lists them), or a YAML file.")],
    data_root: DataRoot = None,
    name: Name = None,
    num_train: NumTrain = None,
    trials: Trials = None,
    epochs: Epochs = None,
    sampler: Sampler = None,
    input_kind: InputKind = None,
    sets: Sets = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    copy_to: CopyTo = None,
    join: Annotated[
        str | None,
        typer.Option("--join", metavar="NAME", help="Work on this run together with others, without Ray; begin it."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the resolved plan and start nothing.")] = False,
    quick: Quick = False,
    executor: Executor = "auto",
    dashboard: _Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Run a staged search to a leaderboard and an exported best config."""
    with answering():
        options = make_options(
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
            copy_to=copy_to,
            quick=quick,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        if join is not None:
            _join(spec, join, options, dry_run, as_json)
        else:
            _run(spec, options, dry_run, as_json)


def _join(ref: str, name: str, options: "RunOptions", dry_run: bool, as_json: bool) -> None:
    from spectral_search.service import runs

    if dry_run or options.name not in (None, name):
        raise RequestError("--join names the run itself: leave --name and --dry-run out.")
    shown = make_shown(as_json)
    _carry_out(
        name,
        lambda: name,
        lambda taken: runs.join(ref, taken, options, shown, typed_command()),
        as_json,
        options.results,
    )


def _run(ref: str, options: "RunOptions", dry_run: bool, as_json: bool) -> None:
    from spectral_search.record.paths import RunPaths, results_root
    from spectral_search.run.plan_view import render_plan
    from spectral_search.service import plans, runs

    shown = make_shown(as_json)
    made = plans.plan(ref, options, shown, dry_run=dry_run)
    name = plans.run_name(made.spec, options, dry_run=dry_run)
    if dry_run and as_json:
        print_json({"name": name, **made.document()})
        return
    shown.console.print(render_plan(made))
    shown.say(f"\nname: {name}, in {RunPaths(results_root(options.results), name).folder}")
    if dry_run:
        return
    require_output()
    shown.console.print()
    _carry_out(
        name,
        lambda: runs.begin(made, name, options, shown, typed_command()),
        lambda taken: runs.search(made, taken, options, shown),
        as_json,
        options.results,
    )


def resume(
    name: Annotated[str, typer.Argument(help="The run, or the URL of its copy: s3://BUCKET/FOLDER/NAME.")],
    trials: Annotated[int | None, typer.Option("--trials", min=1, help="Extend the search to so many trials.")] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Let complete trials go on to so many epochs.")
    ] = None,
    data_root: DataRoot = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    copy_to: CopyTo = None,
    executor: Executor = "auto",
    dashboard: _Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Go on with an interrupted run, or extend a finished one; the data may have moved and the devices be others."""
    with answering():
        from spectral_search.cluster.ray_jobs import is_job_address
        from spectral_search.service import job_work, resubmissions
        from spectral_search.service.stored_runs import fetched_run

        options = make_options(
            trials=trials,
            epochs=epochs,
            data_root=data_root,
            sets=None,
            gpus=gpus,
            concurrent=concurrent,
            address=address,
            copy_to=copy_to,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        shown = make_shown(as_json)
        if is_job_address(address):
            from spectral_search.cli.jobs import show_submitted

            show_submitted([resubmissions.resubmit(name, options, shown)], as_json, results)
            return
        name, options = fetched_run(name, options, shown)
        _carry_out(
            name, lambda: name, lambda taken: job_work.resume(taken, options, shown, typed_command()), as_json, results
        )


def retry(
    name: Annotated[str, typer.Argument(help="The run.")],
    trial: Annotated[
        list[int] | None, typer.Option("--trial", min=0, help="A failed trial; repeat it for more [all that failed].")
    ] = None,
    data_root: DataRoot = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    copy_to: CopyTo = None,
    executor: Executor = "auto",
    dashboard: _Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Run failed trials again, once what they failed of is mended: from their checkpoints, and nothing else."""
    with answering():
        from spectral_search.cluster.ray_jobs import is_job_address
        from spectral_search.service import job_work, resubmissions

        options = make_options(
            data_root=data_root,
            sets=None,
            gpus=gpus,
            concurrent=concurrent,
            address=address,
            copy_to=copy_to,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        shown = make_shown(as_json)
        if is_job_address(address):
            from spectral_search.cli.jobs import show_submitted

            show_submitted([resubmissions.resubmit(name, options, shown, trial or ())], as_json, results)
            return
        _carry_out(
            name,
            lambda: name,
            lambda taken: job_work.retry(taken, options, shown, trial or (), typed_command()),
            as_json,
            results,
        )


def train(
    config: Annotated[str, typer.Argument(help="An exported YAML file, a folder with config.yaml, or a finished run.")],
    data_root: DataRoot = None,
    name: Name = None,
    num_train: NumTrain = None,
    epochs: Epochs = None,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="N|LIST", help="How many seeds, or which: 42,2023; one model each.")
    ] = "3",
    sets: Sets = None,
    gpus: Gpus = None,
    concurrent: Concurrent = None,
    address: Address = None,
    copy_to: CopyTo = None,
    executor: Executor = "auto",
    dashboard: _Dashboard = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Retrain one config, on more data or for longer, with several seeds."""
    with answering():
        from spectral_search.service.plans import train_spec

        options = make_options(
            data_root=data_root,
            name=name,
            num_train=num_train,
            epochs=epochs,
            sets=sets,
            gpus=gpus,
            concurrent=concurrent,
            address=address,
            copy_to=copy_to,
            executor=executor,
            dashboard=dashboard,
            results=results,
        )
        _run(*train_spec(config, options, seeds), False, as_json)


def stop(
    name: Annotated[str, typer.Argument(help="The run or the job.")],
    address: FromCluster = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Stop a search on this machine, or a job wherever it runs; its state is kept."""
    with answering():
        from spectral_search.service import jobs

        stopped = jobs.stop(name, results, address)
        if as_json:
            print_json({"name": name, "stopping": stopped})
        else:
            typer.echo(f"{name} is stopping; `spectral-search resume {name}` goes on." if stopped else "Not running.")


def status(
    name: Annotated[str | None, typer.Argument(help="A run; all runs when absent.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it is over.")] = False,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Show the runs of the results folder, or one run's leaderboard so far."""
    with answering():
        from spectral_search.cluster.jobs_view import told_of
        from spectral_search.record.overview import render_runs, summary_document
        from spectral_search.record.run_records import run_document
        from spectral_search.service import jobs, runs

        if name is None and watch:
            raise RequestError("--watch follows one run: name it.")
        if name is None:
            found = runs.all_runs(results)
            print_json([summary_document(run) for run in found]) if as_json else make_console(False).print(
                render_runs(found)
            )
            for one in () if as_json else jobs.queued_jobs(results):
                typer.echo(told_of(one))
            return
        job = jobs.job(name, results)
        if job is not None and not job.paths.exists() and not watch:
            named = {"name": name, "path": str(job.paths.folder), "state": job.state}
            print_json({**named, "job": job.document()}) if as_json else typer.echo(told_of(job))
            return
        record = _watched(name, results, as_json) if watch else runs.status(name, results)
        if as_json:
            print_json(run_document(record) | ({} if job is None else {"job": job.document()}))
        elif not watch:
            _show_record(make_console(False), record)
            if job is not None:
                typer.echo(told_of(job))


def make_options(
    *,
    gpus: str | None,
    data_root: list[str] | None,
    sets: list[str] | None,
    executor: str,
    dashboard: bool | None,
    **rest: Any,
) -> "RunOptions":
    """The options of a run as the command line gave them."""
    from spectral_search.service.run_options import RunOptions

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


def typed_command() -> list[str]:
    """The command line of this process, for records."""
    return [PROGRAM, *sys.argv[1:]]


def _carry_out(
    name: str, begin: Callable[[], str], work: Callable[[str], "RunRecord"], as_json: bool, results: str | None
) -> None:
    """Do a run's work under the name that `begin` gives and print its leaderboard or its JSON document.

    Args:
        name: What the run is to be called: a signal may come when its folder is there and `begin` has not yet returned.
        begin: Makes the run; the name that it got.
        work: Does it.
        as_json: Whether to print its document.
        results: The results root.
    """
    from spectral_search.record.paths import RunPaths, results_root
    from spectral_search.record.run_records import run_document
    from spectral_search.service import runs
    from spectral_search.service.reports import stop_signals

    try:
        name = begin()
        record = work(name)
    except (KeyboardInterrupt, OutputClosedError):
        if not RunPaths(results_root(results), name).exists():
            typer.echo("Interrupted before the run began.", err=True)
            raise typer.Exit(130) from None
        again = [PROGRAM, "resume", name, *(["--results", results] if results else [])]
        typer.echo(f"Interrupted; everything so far is kept. Go on with: {shlex.join(again)}", err=True)
        if as_json:
            print_json(run_document(runs.status(name, results)))
        raise typer.Exit(130) from None
    if as_json:
        for sentence in stop_signals(record):
            typer.echo(sentence, err=True)
        print_json(run_document(record))
    else:
        show_ending(record, results)
    if record.state == "failed":
        raise typer.Exit(1)


def show_ending(record: "RunRecord", results: str | None) -> None:
    """A run that is over, and what to do next."""
    from spectral_search.record.leaderboard import render_leaderboard
    from spectral_search.record.overview import next_steps, progress_line
    from spectral_search.service.reports import stop_signals

    if record.state == "running":  # others go on with it
        typer.echo(progress_line(record))
        return
    for sentence in stop_signals(record):
        typer.echo(sentence)
    console = make_console(False)
    console.print(render_leaderboard(record))
    for line in next_steps(record, results):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _show_record(console: "Console", record: "RunRecord") -> None:
    from spectral_search.record.leaderboard import render_leaderboard
    from spectral_search.record.overview import disk_line

    console.print(render_leaderboard(record))
    console.print(disk_line(record), markup=False, highlight=False, soft_wrap=True)


def _watched(name: str, results: str | None, as_json: bool) -> "RunRecord":
    """Follow a run: redrawn in place in a terminal, elsewhere a line when an epoch or a state has come."""
    from rich.live import Live

    from spectral_search.record.leaderboard import render_leaderboard
    from spectral_search.record.overview import progress_line
    from spectral_search.service import runs

    console, seen = make_console(as_json), None
    if console.is_terminal:
        with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            return runs.follow(name, results, lambda record: live.update(render_leaderboard(record), refresh=True))

    def tell(record: "RunRecord") -> None:
        nonlocal seen
        now = (record.state, record.epochs_trained)
        if now != seen:
            console.print(progress_line(record), markup=False, highlight=False, soft_wrap=True)
            require_output()  # there is nothing else to go on for
        seen = now

    record = runs.follow(name, results, tell)
    if not as_json:
        _show_record(console, record)
    return record
