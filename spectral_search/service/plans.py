"""Plans: a stage or a file, resolved to a run with data, name and devices, before anything is begun."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spectral_search.errors import RequestError, gathered
from spectral_search.record.paths import RunPaths, next_free_name, results_root, run_names
from spectral_search.service.default_data import with_data
from spectral_search.service.found_model import find_model
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.service.stored_runs import require_copy_place
from spectral_search.service.teachers import with_teacher
from spectral_search.spec.data_section import DataSection
from spectral_search.spec.load import load_spec
from spectral_search.spec.run import RunSpec
from spectral_search.spec.seeds import wanted_seeds
from spectral_search.spec.yaml_io import show

if TYPE_CHECKING:
    from spectral_search.record.run_records import RunRecord
    from spectral_search.run.plan import Plan

_TEACHER = "fit.distill.model"
"""A stage that takes this over learns from the winner itself."""


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
    from spectral_search.run.loggers.epoch_sink import require_loggers
    from spectral_search.run.plan import make_plan
    from spectral_search.task.registry import task_of

    spec = load_spec(ref, sets=options.sets, overrides=options.overrides(), quick=options.quick)
    require_loggers(spec.search.loggers)
    name = run_name(spec, options, dry_run=dry_run)
    if not dry_run:
        require_copy_place(spec, name)
    check_cluster(spec, options)
    spec, notes, parent = _inherited(spec, options)
    spec, data_notes = with_data(spec, shown, dry_run)
    spec = with_teacher(spec, options.results)
    task = task_of(spec.task)
    opened, results = task.open(spec), results_root(options.results)
    if parent is not None and (told := task.parent_note(parent.paths, opened)):
        notes.append(told)
    notes += data_notes
    made = make_plan(spec, opened, options.explicit(), notes, executor=options.executor, results=results)
    if parent is not None and parent.best is not None:
        before = RunSpec.from_dict(parent.spec)
        if told := task.input_note(before, parent.paths.name, parent.best.params, made.spec):
            made = replace(made, notes=(*made.notes, told))
    return made


def run_name(spec: RunSpec, options: RunOptions, *, dry_run: bool = False) -> str:
    """The name that a run will get, refused early if it is taken or the results folder cannot be written.

    A dry run tries no writing.
    """
    root = results_root(options.results)
    name = next_free_name(root, spec.stage) if options.name is None else options.name
    paths = RunPaths(root, name, options.reserved)
    if dry_run:
        paths.require_unused()
    else:
        paths.require_free()
    return paths.name


def train_spec(config: str, options: RunOptions, seeds: str | int) -> tuple[str, RunOptions]:
    """The run that retrains a fixed config with several seeds: a grid over fit.seed, where none is stopped for another.

    All share the order of the examples and their random draws, and with them their passes.

    Args:
        config: An exported config, or the run whose winner it is.
        options: Of the run.
        seeds: How many, counted on from that of the config; or which, with commas between them.

    Raises:
        RequestError: The config still has something to search, or the seeds are none.
    """
    if not Path(config).exists() and config in run_names(results_root(options.results)):
        config = str(find_model(config, options.results))
    faults = list[str]()
    spec = gathered(faults, lambda: load_spec(config, sets=options.sets))
    wanted = gathered(faults, lambda: wanted_seeds(str(seeds), 0 if spec is None else spec.fit.seed))
    if spec is None or wanted is None:
        raise RequestError(*faults)
    if spec.space or spec.grid_size() > 0:
        raise RequestError(
            f"{config} is a search, not one config: `run` it, or `export` the best config of a run and train that."
        )
    sets = (
        *options.sets,
        f"grid.fit.seed={wanted}",
        "search.sampler=grid",
        "search.pruner=none",
        f"search.pass_seed={spec.fit.seed}",
        "search.retest_seeds=1",  # the trials are the seeds
        f"stage={spec.stage if spec.stage.endswith('-train') else spec.stage + '-train'}",
    )
    return config, RunOptions(**{**vars(options), "sets": sets})


def check_cluster(spec: RunSpec, options: RunOptions) -> None:
    from spectral_search.run.executor_choice import check_executor

    check_executor(options.executor, spec.resources.address)
    if spec.resources.address is None:
        return
    from spectral_search.run.ray_session import check_address

    check_address(spec.resources.address)


def setting_note(name: str, parent: DataSection, data: DataSection, quick: bool) -> str | None:
    """What to say where values are taken over from a run of other data settings.

    Args:
        name: Of that run.
        parent: Its data section.
        data: That of the search which takes them over.
        quick: Whether that search is shrunk, each stage by what its own networks take.
    """
    unlike = [key for key in type(parent).SETTING if getattr(parent, key) != getattr(data, key)]
    if not unlike:
        return None
    other = "; ".join(f"{key} {getattr(parent, key)} there and {getattr(data, key)} here" for key in unlike)
    shrunk = quick and set(unlike) <= set(type(data).quick({"train": 1, "val": 1, "draws": 1}))
    end = " --quick sizes each stage by its networks, so this may well be." if shrunk else ""
    return f"{name} had another setting ({other}): its best may not be the best here.{end}"


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
        values = {key: found.name if key == _TEACHER else config.value(key) for key in keys}
    except KeyError as error:
        raise RequestError(
            f"Trial {record.best.number} of {found.name} has no {error.args[0]} to inherit: its network is a "
            f"{config.model.kind}; give --set {error.args[0]}=..."
        ) from None
    told = ", ".join(f"{key}={show(value)}" for key, value in values.items())
    notes = [f"{told}, taken from trial {record.best.number} of {found.name} (stage {stage})."]
    parent = RunSpec.from_dict(record.spec).data
    if (said := setting_note(found.name, parent, spec.data, options.quick)) is not None:
        notes.append(said)
    return spec.inheriting(values), notes, record
