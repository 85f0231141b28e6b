"""The verbs of spectral_search as plain functions, for the command line and for notebooks alike.

Anything heavy (torch, ray, optuna) is imported by the verb that needs it, so that specs, plans and refusals answer
at once.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.places import given_path, require_folder, writing
from spectral_search.record.durable import digest, plain, read_arrays
from spectral_search.record.paths import NameTakenError, RunPaths, next_free_name, results_root
from spectral_search.spec import home_folder as home
from spectral_search.spec.base import SEEDS
from spectral_search.spec.load import load_spec, parse_set
from spectral_search.spec.run import RunSpec
from spectral_search.spec.yaml_io import show

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from spectral_search.record.comparison import Comparison as Comparison
    from spectral_search.record.run_records import RunRecord as RunRecord
    from spectral_search.record.run_records import RunSummary
    from spectral_search.report.write_report import Report as Report
    from spectral_search.run.driver import Surroundings
    from spectral_search.run.fit_baselines import Question
    from spectral_search.run.plan import Plan
    from spectral_search.spec.load import StageInfo
    from spectral_search.tasks.spectra.report.kept_baselines import Baselines
    from spectral_search.tasks.spectra.shards.data_root import DataRoot
    from spectral_search.tasks.spectra.shards.shard_inspection import Inspection
    from spectral_search.tasks.spectra.shards.split import Splits
    from spectral_search.tasks.spectra.training.predictor import Predictions

Progress = Callable[[int, int], None]
PARTS = ("auto", "train", "val", "test")

WATCH_SECONDS = 2.0
CACHE_VERSION = 1
"""Raised with every change of the simulator that changes spectra: an old cache must not pass for the new."""
CACHE_SIZES = {"train": 8192, "val": 2048, "test": 2048}


@dataclass(frozen=True)
class RunOptions:
    """What the options of `run` and `train` say; None and empty leave the spec as it is.

    Attributes:
        data_root: Data roots, globs allowed.
        name: Name of the run; the stage's, numbered, when absent.
        sets: KEY=VALUE overrides.
        num_train: Training spectra.
        trials: Trials of the search.
        epochs: Most epochs of a trial.
        sampler: random, tpe, grid or gp.
        input_kind: What networks see of a spectrum; for all trials, also where the stage searches it.
        gpus: GPU indices; an empty tuple runs on the CPU, None leaves the spec as it is.
        concurrent: Most trials at a time.
        address: Ray cluster to join.
        quick: Shrink the stage to minutes on two cores.
        results: The results folder.
        executor: auto, shared (passes that trials share, on Ray), separate (a process a trial, on Ray) or inline (this
            process).
        dashboard: Whether a local Ray gets its dashboard.
    """

    data_root: tuple[str, ...] = ()
    name: str | None = None
    sets: tuple[str, ...] = ()
    num_train: int | None = None
    trials: int | None = None
    epochs: int | None = None
    sampler: str | None = None
    input_kind: str | None = None
    gpus: tuple[int, ...] | None = None
    concurrent: int | None = None
    address: str | None = None
    quick: bool = False
    results: str | None = None
    executor: str = "auto"
    dashboard: bool = True

    def overrides(self) -> dict[str, Any]:
        """The options as spec keys."""
        values = {
            "data.num_train": self.num_train,
            "search.trials": self.trials,
            "fit.epochs": self.epochs,
            "search.sampler": self.sampler,
            "data.input.kind": self.input_kind,
            "resources.gpus": None if self.gpus is None else list(self.gpus),
            "resources.concurrent": self.concurrent,
            "resources.address": self.address,
            "data.root": [str(given_path(root, "--data-root").absolute()) for root in self.data_root] or None,
        }
        return {key: value for key, value in values.items() if value is not None}

    def explicit(self) -> set[str]:
        """Keys that the user gave."""
        return {*self.overrides(), *(parse_set(text)[0] for text in self.sets)}


@dataclass(frozen=True)
class Shown:
    """Where a verb shows what it does.

    Attributes:
        console: For the live view and notes; on stderr when stdout is one JSON document.
        progress: Makes a progress callback for a long step, given its title.
    """

    console: "Console"
    progress: Callable[[str], Progress] = field(default=lambda title: lambda done, total: None)

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def silent() -> Shown:
    """Shows nothing: for notebooks and scripts."""
    import io

    from rich.console import Console

    # In a notebook rich would print there, whatever the file.
    return Shown(Console(file=io.StringIO(), force_jupyter=False))


def plan(ref: str, options: RunOptions, shown: Shown, *, dry_run: bool = True) -> "Plan":
    """Resolve a run without starting anything.

    Args:
        ref: A stage's name or the path of a spec.
        options: The options of `run`.
        shown: Where a simulation of missing data shows its progress.
        dry_run: Simulate nothing either: without any data root, the plan is refused.

    Raises:
        RequestError: Anything is wrong with the spec, the data or the options; all faults of a file at once.
    """
    from spectral_search.run.input_choice import other_input_note
    from spectral_search.run.plan import make_plan
    from spectral_search.run.same_data import parent_note
    from spectral_search.tasks.spectra.shards.data_root import DataRoot

    spec = load_spec(ref, sets=options.sets, overrides=options.overrides(), quick=options.quick)
    run_name(spec, options, dry_run=dry_run)
    _check_cluster(spec, options)
    spec, notes, parent = _inherited(spec, options)
    spec, data_notes = _with_data(spec, shown, dry_run)
    root = DataRoot.find(spec.data.root or [])
    results = results_root(options.results)
    if parent is not None and (told := parent_note(parent.paths, root)):
        notes.append(told)
    notes += data_notes
    made = make_plan(spec, root, options.explicit(), notes, executor=options.executor, results=results)
    if parent is not None and (told := other_input_note(parent, made.spec)):
        made = replace(made, notes=(*made.notes, told))
    return made


def _check_cluster(spec: RunSpec, options: RunOptions) -> None:
    from spectral_search.run.executor_choice import check_executor

    check_executor(options.executor, spec.resources.address)
    if spec.resources.address is None:
        return
    from spectral_search.run.ray_session import check_address

    check_address(spec.resources.address)


def _check_ray(made: "Plan") -> None:
    """Refuse, before anything is begun, what Ray could not start for on this machine."""
    if made.executor != "inline" and made.slots.address is None:
        from spectral_search.run.ray_home import check_session_root

        check_session_root()


def _inherited(spec: RunSpec, options: RunOptions) -> "tuple[RunSpec, list[str], RunRecord | None]":
    """Fill the keys that a stage takes from another stage's winner; what to say of it, and whose they are."""
    keys = spec.pending_inherit(options.explicit())
    if spec.inherit is None or not keys:
        return spec, [], None
    from spectral_search.record.run_records import RunRecord, newest_finished

    root = results_root(options.results)
    stage, found = spec.inherit.from_, newest_finished(root, spec.inherit.from_)
    if found is None:
        sets = " ".join(f"--set {key}=..." for key in keys)
        raise RequestError(
            f"{spec.stage} takes {', '.join(keys)} from the best trial of {stage}, and {root} holds no finished run of "
            f"it: `spectral-search run {stage}` first, or give {sets}."
        )
    record = RunRecord.load(RunPaths(root, found.name))
    if record.best is None:
        raise RequestError(f"Run {found.name} of {stage} has no best trial to inherit from: run {stage} again.")
    config = RunSpec.from_dict(record.spec).with_params(record.best.params)
    try:
        values = {key: config.value(key) for key in keys}
    except KeyError as error:
        raise RequestError(
            f"Trial {record.best.number} of {found.name} has no {error.args[0]} to inherit: its network is a "
            f"{config.model.kind}; give --set {error.args[0]}=..."
        ) from None
    told = ", ".join(f"{key}={show(value)}" for key, value in values.items())
    notes = [f"{told}, taken from trial {record.best.number} of {found.name} (stage {stage})."]
    parent = RunSpec.from_dict(record.spec).data
    other = [
        f"{key} {getattr(parent, key)} there and {getattr(spec.data, key)} here"
        for key in ("num_train", "noise_level")
        if getattr(parent, key) != getattr(spec.data, key)
    ]
    if other:
        notes.append(f"{found.name} had another setting ({'; '.join(other)}): its best may not be the best here.")
    return spec.inheriting(values), notes, record


def _with_data(spec: RunSpec, shown: Shown, dry_run: bool) -> tuple[RunSpec, list[str]]:
    """The spec with its data root: as given, else DATA_ROOT, else a small simulated set."""
    if spec.data.root:
        return spec, []
    given = os.environ.get("DATA_ROOT")
    if given:
        return spec.override({"data.root": str(given_path(given, "DATA_ROOT").absolute())}), []
    folder = cache_folder()
    if not folder.is_dir():
        if dry_run:
            raise RequestError(
                "No data root: give --data-root DIR or set DATA_ROOT. Without --dry-run, a small data set is "
                f"simulated once into {folder}."
            )
        _simulate_cache(folder, shown)
    note = f"No data root given: using simulated spectra in {folder}, an approximation and no substitute for real ones."
    return spec.override({"data.root": str(folder)}), [note]


def cache_folder() -> Path:
    """Where the small simulated data set lies."""
    sizes = "-".join(str(size) for size in CACHE_SIZES.values())
    return home.cache_folder() / f"simulated-v{CACHE_VERSION}-{sizes}"


def _simulate_cache(folder: Path, shown: Shown) -> None:
    from spectral_search.tasks.spectra.simulator.simulate import simulate as write

    total = sum(CACHE_SIZES.values())
    shown.say(f"No data root given: simulating {total:,} spectra once into {folder} (about a minute).")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"No data root given, and a simulated set cannot be kept in {folder.parent} ({error.strerror}): give "
            "--data-root DIR, or set XDG_CACHE_HOME to a folder that you may write to."
        ) from error
    try:
        write(partial, **CACHE_SIZES, dtype="float32", progress=shown.progress("simulating"))
        # Renamed when whole: another run that started at the same time, or a cut, never leaves half a set behind.
        with writing(folder):
            partial.rename(folder)
    except RequestError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def run(made: "Plan", name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> "RunRecord":
    """Carry out a planned run.

    Args:
        made: From `plan(..., dry_run=False)`.
        name: From `run_name`; the record has the name that it got, see `begin`.
        options: The options it was planned with.
        shown: Where it is shown.
        command: The command line, for the record.

    Raises:
        RequestError: The name is taken, the folder cannot be written, or the cluster cannot be joined.
        KeyboardInterrupt: The run was interrupted; `resume` goes on with it.
    """
    return search(made, begin(made, name, options, shown, command), options, shown)


def begin(made: "Plan", name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> str:
    """Make the folder of a planned run and its records; what it is called.

    Where no name was asked for and another run that began meanwhile took this one, it is the next that is free.

    Raises:
        RequestError: The name that was asked for is taken, or the folder cannot be written.
    """
    from spectral_search.run.driver import begin as make
    from spectral_search.run.driver import told_plainly

    _check_ray(made)
    root = results_root(options.results)
    while True:
        paths = RunPaths(root, name)
        try:
            with told_plainly(paths):
                make(made, paths, command)
            return name
        except NameTakenError:
            if options.name is not None:
                raise
            taken, name = name, next_free_name(root, made.spec.stage)
            shown.say(f"{taken} was taken meanwhile by another run: this one is {name}.")


def search(made: "Plan", name: str, options: RunOptions, shown: Shown) -> "RunRecord":
    """Carry out a run that was begun; otherwise as `run`."""
    from spectral_search.run.driver import carry_out
    from spectral_search.run.run_lock import hold

    paths = RunPaths(results_root(options.results), name)
    try:
        with hold(paths):
            return carry_out(made, paths, _surroundings(options, shown))
    except RequestError:
        # What a whole reading alone shows must not leave a run without a trial that blocks its name.
        if not any(paths.trials_dir.iterdir()):
            shutil.rmtree(paths.folder)
        raise


def exists(name: str, results: str | None = None) -> bool:
    """Whether a run of this name was begun."""
    return RunPaths(results_root(results), name).exists()


def run_name(spec: RunSpec, options: RunOptions, *, dry_run: bool = False) -> str:
    """The name that a run will get, refused early if it is taken or the results folder cannot be written.

    A dry run tries no writing.
    """
    root = results_root(options.results)
    paths = RunPaths(root, next_free_name(root, spec.stage) if options.name is None else options.name)
    if dry_run:
        paths.require_unused()
    else:
        paths.require_free()
    return paths.name


def run_folder(name: str, results: str | None = None) -> Path:
    """Where a run lies or will lie."""
    return RunPaths(results_root(results), name).folder


def _surroundings(options: RunOptions, shown: Shown) -> "Surroundings":
    from spectral_search.record.live_view import LiveView
    from spectral_search.run.driver import Surroundings

    return Surroundings(options.dashboard, LiveView(shown.console), shown.say)


def resume(name: str, options: RunOptions, shown: Shown, command: Sequence[str] = ()) -> "RunRecord":
    """Go on with an interrupted run from its record; a finished run is returned as it is, unless it is extended.

    Args:
        name: The run.
        options: Where to run; `trials` and `epochs` extend it.
        shown: Where it is shown.
        command: The command line, for the record.

    Raises:
        RequestError: There is no such run, it is running, or its data has changed.
        KeyboardInterrupt: It was interrupted again.
    """
    paths = RunPaths(results_root(options.results), name).require()
    from spectral_search.record.manifest import Manifest
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.driver import carry_out, told_plainly
    from spectral_search.run.extend import Extension, extend
    from spectral_search.run.run_lock import hold

    with hold(paths), told_plainly(paths):
        record = RunRecord.load(paths)
        if record.state == "running":
            raise RequestError(f"Run {name} is running already: follow it with `spectral-search status {name}`.")
        wanted = Extension(options.trials, options.epochs)
        if record.state == "finished" and not wanted:
            return record
        paths.require_writable()
        # Before the run's record is touched: what is refused leaves the run as it was.
        data = _recorded_data(record, options, shown)
        if wanted:
            shown.say(extend(record, wanted))
            record = RunRecord.load(paths)
            if record.state == "finished":
                return record
        made = _recorded_plan(record, options, data)
        _check_ray(made)
        manifest = Manifest.load(paths.manifest_json)
        manifest.data = {**manifest.data, "shards": data.shards}
        manifest.claim(command=list(command), earlier_wall_seconds=record.wall_seconds)
        manifest.save(paths.manifest_json)
        return carry_out(made, paths, _surroundings(options, shown))


@dataclass(frozen=True)
class _RecordedData:
    """The data of a run, found to be what they were: their shards as the manifest should know them from now on."""

    root: "DataRoot"
    splits: "Splits"
    shards: dict[str, dict[str, Any]]


def _recorded_spec(record: "RunRecord", options: RunOptions) -> RunSpec:
    """Where it runs may change, what it computes may not: these values go into the plan, not into the record."""
    return RunSpec.from_dict(record.spec).override(
        {key: value for key, value in options.overrides().items() if key not in ("search.trials", "fit.epochs")}
    )


def _recorded_data(record: "RunRecord", options: RunOptions, shown: Shown) -> _RecordedData:
    """The data of a run.

    Raises:
        RequestError: The spec was edited, or the data are not the data that the run began with.
    """
    from spectral_search.run.same_data import require_same_data
    from spectral_search.tasks.spectra.shards.data_root import DataRoot
    from spectral_search.tasks.spectra.shards.split import Splits

    _require_own_spec(record)
    spec = _recorded_spec(record, options)
    _check_cluster(spec, options)
    root = DataRoot.find(spec.data.root or [])
    splits = Splits.from_arrays(read_arrays(record.paths.split_npz), root)
    return _RecordedData(root, splits, require_same_data(record.paths, root, splits, shown.say))


def _recorded_plan(record: "RunRecord", options: RunOptions, data: _RecordedData) -> "Plan":
    """The plan of a run as it was recorded, on the machine as it is now."""
    from spectral_search.run.plan import Plan, decide_machine

    spec = _recorded_spec(record, options)
    executor, slots, notes, memory = decide_machine(
        spec, data.splits, options.executor, "resume the run where more memory is free"
    )
    return Plan(spec, data.root, data.splits, slots, executor, tuple(notes), memory=memory)


def _require_own_spec(record: "RunRecord") -> None:
    if digest(record.paths.spec_yaml) not in record.manifest.spec_sha256:
        raise RequestError(
            f"{record.paths.spec_yaml} was edited since the run began: restore it, or `run` it under another name."
        )


def stop(name: str, results: str | None = None) -> bool:
    """Ask a running search on this host to stop; its state is kept. False when it was not running.

    Raises:
        RequestError: There is no such run, or it runs on another host.
    """
    from spectral_search.record.run_records import RunRecord

    record = RunRecord.load(RunPaths(results_root(results), name).require())
    if record.state != "running":
        return False
    manifest = record.manifest
    if not manifest.process_is_alive() or manifest.pid is None:
        raise RequestError(f"Run {name} runs on {manifest.hostname}: stop it there.")
    os.kill(manifest.pid, signal.SIGTERM)
    return True


def status(name: str, results: str | None = None) -> "RunRecord":
    """Read a run, in progress or over."""
    from spectral_search.record.run_records import RunRecord

    return RunRecord.load(RunPaths(results_root(results), name).require())


def follow(
    name: str,
    results: str | None,
    show: Callable[["RunRecord"], None],
    sleep: Callable[[float], None] = time.sleep,
) -> "RunRecord":
    """Show a run again and again until it is over or its process is gone; its last state.

    Args:
        name: The run.
        results: The results folder.
        show: Called with each reading.
        sleep: Waits so many seconds.
    """
    while True:
        record = status(name, results)
        show(record)
        if record.state != "running":
            return record
        sleep(WATCH_SECONDS)


def runs(results: str | None = None) -> "list[RunSummary]":
    """All runs of the results folder, newest first."""
    from spectral_search.record.run_records import list_runs

    return list_runs(results_root(results))


def export(name: str, destination: str, top: int = 1, results: str | None = None) -> list[Path]:
    """Write the best configs of a run, with their weights, as FILE.yaml, FILE-2.yaml, ..."""
    from spectral_search.record.export import export_top

    return export_top(status(name, results), Path(destination), top)


def train_spec(config: str, options: RunOptions, seeds: int) -> tuple[str, RunOptions]:
    """The run that retrains a fixed config with several seeds: a grid over fit.seed, where none is stopped for another.

    Raises:
        RequestError: The config still has something to search.
    """
    spec = load_spec(config, sets=options.sets)
    if spec.space or spec.grid_size() > 0:
        raise RequestError(
            f"{config} is a search, not one config: `run` it, or `export` the best config of a run and train that."
        )
    first = spec.fit.seed
    sets = (
        *options.sets,
        f"grid.fit.seed={[(first + number) % SEEDS for number in range(seeds)]}",
        "search.sampler=grid",
        "search.pruner=none",
        "search.retest_seeds=1",  # the trials are the seeds
        f"stage={spec.stage if spec.stage.endswith('-train') else spec.stage + '-train'}",
    )
    return config, RunOptions(**{**vars(options), "sets": sets})


def simulate(directory: str, shown: Shown, **sizes: Any) -> Path:
    """Write a simulated data set in the layout of real shards."""
    from spectral_search.tasks.spectra.simulator.simulate import simulate as write

    root = given_path(directory, "The folder to simulate into")
    write(root, progress=shown.progress("simulating"), **sizes)
    return root


def inspect(path: str, picture: str | None = None) -> "Inspection":
    """Look into a shard or a data root, and draw sample spectra if a file is named."""
    from spectral_search.tasks.spectra.shards.shard_inspection import inspect_path

    data = given_path(path, "The shard or data root")
    if picture is not None:
        from spectral_search.tasks.spectra.shards.spectra_plot import check_picture_name, plot_samples

        check_picture_name(Path(picture))
    found = inspect_path(data)
    if picture is not None:
        plot_samples(data, picture)
    return found


def evaluate(
    model: str, data: str, part: str = "auto", results: str | None = None, *, observed: bool = False
) -> dict[str, Any]:
    """R2, MAE and RMSE of a model on a shard, or on one part of a data root.

    On `val` of the data root that a model was chosen on, the split and the frozen noise are those of its search, so
    the leaderboard's number comes out again.

    Args:
        model: An exported YAML file, a folder with config.yaml, or the name of a run.
        data: A shard, its folder, or a data root.
        part: Which part of a root; auto takes test where there is one, else val.
        results: The results folder.
        observed: The flux is as observed: no noise is added to it. Not for val, whose noise is the search's.

    Raises:
        RequestError: There is no such model, data or part, or they do not fit each other.
    """
    if part not in PARTS:
        raise RequestError(f"The part must be one of {', '.join(PARTS)}, found {part!r}.")
    path = find_model(model, results)
    from spectral_search.run.exported_models import evaluate_model

    is_run = path.name == "best" and path != given_path(model, "The model")
    run = RunPaths(results_root(results), model) if is_run else None
    return evaluate_model(path, given_path(data, "--data"), part, observed, run)


def report(names: Sequence[str], page: str | None, shown: Shown, results: str | None = None) -> "Report":
    """Write the report of runs: a page, its figures as files, and a table of results.

    Args:
        names: Runs; all finished ones when empty.
        page: The HTML file; report.html in the results folder when absent.
        shown: Where progress is shown.
        results: The results folder.

    Raises:
        RequestError: There is no such run, it has no result, or the page cannot be written.
    """
    from spectral_search.record.evidence import load_evidence
    from spectral_search.report.write_report import write_report

    root = results_root(results)
    file = root / "report.html" if page is None else Path(page)
    return write_report(load_evidence(root, names), file, progress=shown.progress("drawing figures"))


def compare(first: str, second: str, results: str | None = None) -> "Comparison":
    """Put two runs side by side: specs, best configs, test R2 on the same spectra, cost.

    Raises:
        RequestError: There is no such run, or it has no result.
    """
    from spectral_search.record.comparison import compare as put_side_by_side
    from spectral_search.record.evidence import load_evidence

    if first == second:
        raise RequestError(f"{first} was named twice: name two runs.")
    one, other = load_evidence(results_root(results), [first, second]).named
    return put_side_by_side(one, other)


def baselines(
    options: RunOptions,
    shown: Shown,
    *,
    noise_level: float | None = None,
    like: str | None = None,
    only: Sequence[str] = (),
    again: bool = False,
    reads: str | None = None,
) -> "Baselines":
    """Fit what networks are measured against, on exactly the split, noise and test set of a search, and store it.

    Args:
        options: The data root, `num_train`, overrides of the data section and the results folder.
        shown: Where progress is shown.
        noise_level: Factor on the error, 1 when absent.
        like: A run whose split, noise level and preprocessing are taken.
        only: Some of ridge, lightgbm, oracle_mixture and ceiling; all when empty.
        again: Fit also what is stored already.
        reads: pixels or signal: what all but the ceiling read; when absent what the run reads, else pixels.

    Raises:
        RequestError: The data or the names are wrong, or the results folder cannot be written.
        KeyboardInterrupt: It was interrupted; finished methods are stored.
    """
    from spectral_search.tasks.spectra.report.baseline_methods import INPUTS

    if reads is not None and reads not in INPUTS:
        raise RequestError(f"--input is {reads!r}: baselines read {' or '.join(INPUTS)}.")
    question, root = _question(options, shown, noise_level, like), results_root(options.results)
    question = replace(question, reads=reads or question.reads)
    from spectral_search.run.exported_models import best_device
    from spectral_search.run.fit_baselines import chosen_methods, measure
    from spectral_search.tasks.spectra.consistency.parts_check import check_parts

    if like is None:  # the data of a run were looked at when it began
        parts = check_parts(question.root, question.spec.data)
        for sentence in parts.told:
            shown.say(sentence)
        question = replace(question, mismatches=parts.mismatches)

    methods, left_out = chosen_methods(question, only)
    for sentence in left_out:
        shown.say(sentence)
    return measure(question, root, methods, best_device(), shown.progress, shown.say, again=again)


def audit(options: RunOptions, shown: Shown) -> dict[str, Any]:
    """Look for what makes numbers on a data set misleading, and store what was found.

    Args:
        options: The data root and the results folder.
        shown: Where progress is shown.

    Returns:
        The document that is stored: created_at, spectra, findings (check, level, text, numbers).

    Raises:
        RequestError: The data cannot be used, or the results folder cannot be written.
    """
    question = _question(options, shown, None, None)
    from spectral_search.run.fit_baselines import audit as look

    return look(question, results_root(options.results), shown.progress)


def _question(options: RunOptions, shown: Shown, noise_level: float | None, like: str | None) -> "Question":
    """The data that baselines are asked about: those of a run, or of a data root with the defaults of a search."""
    from spectral_search.run.fit_baselines import Question, question_of

    if like is None:
        data = {"num_train": options.num_train, "noise_level": noise_level}
        given = {key: value for key, value in data.items() if value is not None}
        document = {"stage": "baselines", "data": given, "model": {"kind": "mlp"}}
        spec = RunSpec.from_dict(document).override({**options.overrides(), **_data_sets(options.sets)})
        spec, notes = _with_data(spec, shown, False)
        for note in notes:
            shown.say(note)
        return question_of(spec)
    if options.num_train is not None or noise_level is not None or options.sets:
        raise RequestError(
            "--like takes split and noise level from a run: leave --num-train, --noise-level and --set out."
        )
    from spectral_search.record.bundle import read_safetensors
    from spectral_search.record.run_records import RunRecord
    from spectral_search.spec.data import SUBSPACE_INPUTS
    from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

    record = RunRecord.load(RunPaths(results_root(options.results), like).require())
    found, file = _recorded_data(record, options, shown), record.paths.preprocessing_safetensors
    prep = Preprocessing.from_arrays(read_safetensors(file)[0]) if file.exists() else None
    spec = _recorded_spec(record, options)
    reads = "signal" if spec.data.input.kind in SUBSPACE_INPUTS else "pixels"
    return Question(spec, found.root, found.splits, prep, tuple(record.mismatches), reads)


def _data_sets(sets: Sequence[str]) -> dict[str, Any]:
    """Overrides of the data section, which is all that baselines have of a spec."""
    values = dict(parse_set(text) for text in sets)
    if other := [key for key in values if not key.startswith("data.")]:
        raise RequestError(f"Baselines have no {', '.join(other)}: --set takes keys of data, such as data.num_val.")
    return values


def baselines_document(found: "Baselines") -> dict[str, Any]:
    """Baselines as the JSON document of `baselines`."""
    from spectral_search.tasks.spectra.report.baselines_view import document

    return document(found)


def baselines_view(found: "Baselines") -> "RenderableType":
    """Baselines for a terminal."""
    from spectral_search.tasks.spectra.report.baselines_view import render_baselines

    return render_baselines(found)


def audit_view(found: dict[str, Any]) -> "RenderableType":
    """What an audit found, for a terminal."""
    from spectral_search.tasks.spectra.report.kept_audit import render_audit

    return render_audit(found)


def comparison_view(comparison: "Comparison") -> "RenderableType":
    """A comparison for a terminal."""
    from spectral_search.record.comparison import render_comparison

    return render_comparison(comparison)


def stop_signals(record: "RunRecord") -> list[str]:
    """What the results folder of a finished run says is not worth more work, in plain words."""
    if record.state != "finished":
        return []
    from spectral_search.record.evidence import load_evidence

    return load_evidence(record.paths.root, [record.paths.name]).stops


def predict(
    model: str, data: str, destination: str, results: str | None = None, *, observed: bool = False
) -> "Predictions":
    """Write predicted log g of every spectrum beside the labels there are, as .csv, .parquet, .fits or .ecsv.

    With `observed` the flux counts as noisy already; otherwise recorded noise is taken, or drawn where there is none.
    """
    from spectral_search.tasks.spectra.report.astro_tables import require_ascii
    from spectral_search.tasks.spectra.report.prediction_tables import check_table_name, write_prediction_table

    file = Path(destination)
    check_table_name(file)
    path = find_model(model, results)
    from spectral_search.run.exported_models import predict_shards

    where = given_path(data, "The shard or data root")
    predictions = predict_shards(path, where, observed, accept=lambda labels: require_ascii(labels, file))
    with writing(file):
        write_prediction_table(predictions.table, file, {**predictions.provenance, "model": model})
    return predictions


def find_model(model: str, results: str | None = None) -> Path:
    """The exported model that a path or a run's name means.

    Raises:
        RequestError: It means none.
    """
    path = given_path(model, "The model")
    if path.exists():
        return path
    root = results_root(results)
    if "/" not in model and (root / model / "manifest.json").is_file():
        best = RunPaths(root, model).best_dir
        if best.is_dir():
            return best
        raise RequestError(f"Run {model} has no exported winner yet: `spectral-search resume {model}` finishes it.")
    raise RequestError(f"{model} is neither an exported model nor a finished run in {root}: give a .yaml or a name.")


def best(name: str, results: str | None = None) -> tuple[str, dict[str, Any]]:
    """The best config of a run, as the text of its YAML and as plain values with its numbers.

    Raises:
        RequestError: The run has no trial with a result yet.
    """
    record = status(name, results)
    trial = record.best
    if trial is None:
        raise RequestError(f"Run {name} has no trial with a result yet: `spectral-search status {name}` follows it.")
    provenance = {"run": name, "trial": trial.number, "epoch": trial.best_epoch}
    provenance[record.objective.val_name] = trial.best_value
    spec = RunSpec.from_dict(record.spec).fixed(trial.params, provenance)
    return spec.to_yaml(), {**provenance, "params": trial.params, "config": spec.to_dict()}


def bench(
    parts: Sequence[str],
    shown: Shown,
    *,
    quick: bool = False,
    figures: str | None = None,
    record: str | None = None,
    curves: str | None = None,
    spectra: int | None = None,
) -> dict[str, Any]:
    """Measure against floors and peers; the tables are shown as they come, the whole is given as plain values.

    Args:
        parts: What to measure; all that need no asking for when empty.
        shown: Where the tables go.
        quick: Tiny sizes, to see that it runs.
        figures: Folder for figures of what was found.
        record: File of JSON lines that the document is appended to.
        curves: File of recorded tasks that the part efficiency replays searches on too.
        spectra: Training spectra of the part search, which is then carried out beside Ray Tune alone.

    Raises:
        RequestError: There is no such part, the curves cannot be read, or the record or the figures cannot be written.
        RunError: A measured search failed.
    """
    from spectral_search.bench.bench import append_record, check_record, run_bench

    if figures is not None:
        require_folder(given_path(figures, "--figures"))
    if record is not None:
        check_record(given_path(record, "--record"))
    found = run_bench(
        parts,
        shown,
        quick=quick,
        figures=None if figures is None else Path(figures),
        curves=None if curves is None else given_path(curves, "--curves"),
        spectra=spectra,
    )
    document = plain(found)
    if record is not None:
        append_record(document, Path(record))
    return document


def cache(*, clear: bool = False) -> dict[str, Any]:
    """What is kept of compressed spectra, as plain values: folder, limit_bytes, bytes, entries, removed.

    Args:
        clear: Remove every entry first but those that a process uses.

    Raises:
        RequestError: There is no folder for it, or its bound is no number.
    """
    from spectral_search.record.array_cache import ArrayCache
    from spectral_search.run.cache_view import cache_document

    found = ArrayCache.here()
    if found is None:
        raise RequestError(f"There is no home folder for a cache: set HOME, XDG_CACHE_HOME or {home.CACHE_VARIABLE}.")
    return cache_document(found, found.clear() if clear else ())


def cache_view(document: dict[str, Any]) -> "RenderableType":
    """The document of `cache` for a terminal."""
    from spectral_search.run.cache_view import render_cache

    return render_cache(document)


def specs() -> "list[StageInfo]":
    """The stages that can be run: those of ./tune_specs, then those of the package."""
    from spectral_search.spec.load import list_specs

    return list_specs()


def show_spec(ref: str, sets: Sequence[str] = (), *, quick: bool = False) -> RunSpec:
    """A spec with every default spelt out; all faults of a file at once as a RequestError."""
    return load_spec(ref, sets=sets, quick=quick)


def to_json(document: Any) -> str:
    """Plain values as strict JSON text; NaN and infinities become null."""
    return json.dumps(plain(document), indent=2, allow_nan=False)


def document(record: "RunRecord") -> dict[str, Any]:
    """A run as the JSON document of `run`, `resume` and `status`."""
    from spectral_search.record.run_records import run_document

    return run_document(record)


def summary_document(run: "RunSummary") -> dict[str, Any]:
    """A run of the list as JSON."""
    from spectral_search.record import overview

    return overview.summary_document(run)


def next_steps(record: "RunRecord", results: str | None = None) -> list[str]:
    """Commands that make sense after a run, which name the results folder where one was given."""
    from spectral_search.record import overview

    return overview.next_steps(record, results)


def plan_view(made: "Plan") -> "RenderableType":
    """A plan for a terminal."""
    from spectral_search.run.plan_view import render_plan

    return render_plan(made)


def progress_line(record: "RunRecord") -> str:
    """How far a run has come, on one line."""
    from spectral_search.record import overview

    return overview.progress_line(record)


def disk_line(record: "RunRecord") -> str:
    """What a run takes on disk, on one line."""
    from spectral_search.record import overview

    return overview.disk_line(record)


def leaderboard_view(record: "RunRecord") -> "RenderableType":
    """A leaderboard for a terminal."""
    from spectral_search.record.leaderboard import render_leaderboard

    return render_leaderboard(record)


def runs_view(found: "Sequence[RunSummary]") -> "RenderableType":
    """Runs for a terminal."""
    from spectral_search.record import overview

    return overview.render_runs(found)


def specs_view(found: "Sequence[StageInfo]") -> "RenderableType":
    """Stages for a terminal."""
    from spectral_search.record import overview

    return overview.render_specs(found)
