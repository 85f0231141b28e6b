"""The verbs of jobs on a cluster."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from spectral_search.cli.runs import (
    Concurrent,
    CopyTo,
    Epochs,
    Executor,
    Gpus,
    InputKind,
    Name,
    Quick,
    Sampler,
    Trials,
    make_options,
    show_ending,
    typed_command,
)
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
from spectral_search.errors import RequestError

if TYPE_CHECKING:
    from spectral_search.cluster.standing import Standing

_JobAddress = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", help="Where the cluster takes jobs [http://127.0.0.1:8265]."),
]


def submit(
    specs: Annotated[list[str], typer.Argument(help="Stages or YAML files; what inherits waits for its parent.")],
    address: _JobAddress = None,
    after: Annotated[
        list[str] | None, typer.Option("--after", metavar="NAME", help="Begin when this job or run has finished.")
    ] = None,
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
    copy_to: CopyTo = None,
    quick: Quick = False,
    executor: Executor = "auto",
    python: Annotated[
        str | None, typer.Option("--python", metavar="COMMAND", help="Python on the cluster [`python` there].")
    ] = None,
    cluster_results: Annotated[
        str | None,
        typer.Option("--cluster-results", metavar="DIR", help="Results folder there, if this machine does not see it."),
    ] = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Hand searches over to a Ray cluster and return at once; `jobs`, `logs` and `status` tell of them."""
    with answering():
        from spectral_search.service import submissions

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
            copy_to=copy_to,
            quick=quick,
            executor=executor,
            dashboard=False,
            results=results,
        )
        shown = make_shown(as_json)
        where = submissions.Destination(address, after or (), python, cluster_results)
        done = submissions.submit(specs, options, shown, where)
        show_submitted(done, as_json, results)


def show_submitted(done: "list[Standing]", as_json: bool, results: str | None) -> None:
    """What was submitted, and how to follow it."""
    if as_json:
        print_json([one.document() for one in done])
        return
    for one in done:
        after = f", after {' and '.join(one.job.after)}" if one.job.after else ""
        typer.echo(f"submitted: {one.job.name}{after}, to {one.job.address}")
    place = ["--results", results] if results else []
    typer.echo(f"follow it: {shlex.join([PROGRAM, 'logs', done[0].job.name, '--follow', *place])}")


def jobs(address: FromCluster = None, results: Results = None, as_json: Json = False) -> None:
    """List the jobs of the results folder: what each does, what it waits for, why it failed."""
    with answering():
        from spectral_search.cluster.jobs_view import render_jobs
        from spectral_search.service import jobs as found

        if address is not None:
            there = found.jobs_there(address)
            if as_json:
                print_json(there)
            else:
                for info in there:
                    typer.echo(f"{info['name']}: {str(info['status']).lower()} ({info['submission_id']})")
            return
        standing = found.all_jobs(results)
        if as_json:
            print_json([one.document() for one in standing])
        else:
            make_console(False).print(render_jobs(standing), soft_wrap=True)


def logs(
    name: Annotated[str, typer.Argument(help="The job.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
    trial: Annotated[int | None, typer.Option("--trial", min=0, help="What is known of one trial.")] = None,
    address: FromCluster = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Show what a job has said, also one that failed, was stopped, or whose cluster is gone."""
    with answering():
        from spectral_search.service import jobs as found

        if address is not None and (follow or trial is not None):
            raise RequestError("--address asks for what a job has said so far: leave --follow and --trial out.")
        if trial is not None and follow:
            raise RequestError("--follow follows the whole job: leave --trial out, or --follow.")
        if trial is not None:
            lines = found.trial_log(name, trial, results)
            pieces = iter(["".join(f"{line}\n" for line in lines)])
        elif address is not None:
            pieces = iter([found.logs_there(name, address)])
        else:
            pieces = found.logs(name, results, follow=follow)
        if as_json:
            print_json({"name": name, "trial": trial, "lines": "".join(pieces).splitlines()})
            return
        for piece in pieces:
            typer.echo(piece, nl=False)
            require_output()


def work(
    name: Annotated[str, typer.Argument(help="The job.")],
    results: Results = None,
) -> None:
    """Be the process of a submitted job; clusters run this."""
    with answering():
        from spectral_search.service import job_work

        with job_work.attended(name, results) as job, answering():
            try:
                record = job_work.work(job, make_shown(False), results, typed_command())
            except KeyboardInterrupt:
                again = shlex.join([PROGRAM, "resume", name, *(["--results", results] if results else [])])
                typer.echo(f"Stopped; everything so far is kept. Go on with: {again}", err=True)
                raise typer.Exit(130) from None
            show_ending(record, results)
            if record.state == "failed":
                raise typer.Exit(1)
