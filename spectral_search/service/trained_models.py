"""Trained models: the best of a run as a config or as files, their scores on data, and what they predict."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError, gathered
from spectral_search.places import given_path
from spectral_search.record.paths import RunPaths, results_root
from spectral_search.service.fetched import local_data
from spectral_search.service.found_model import find_model
from spectral_search.service.runs import status
from spectral_search.service.shown import Shown
from spectral_search.spec.run import RunSpec
from spectral_search.spec.task_modules import DEFAULT_TASK
from spectral_search.task.registry import task_of

if TYPE_CHECKING:
    from spectral_search.task.task import Task

_PARTS = ("auto", "train", "val", "test")


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


def export(name: str, destination: str, top: int = 1, results: str | None = None) -> list[Path]:
    """Write the best configs of a run, with their weights, as FILE.yaml, FILE-2.yaml, ... or into a folder."""
    from spectral_search.record.export import export_top

    file = Path(destination)
    if top > 1 and not file.suffix:  # several models may have a folder of their own
        file /= "best.yaml"
    return export_top(status(name, results), file, top)


def export_unlike(name: str, folder: str, top: int = 1, results: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """Write the best trials of a run that differ in their architecture into a folder; as JSON, and for people.

    Raises:
        RequestError: There is no such run, it has no trial with weights, or the folder cannot be written.
    """
    from spectral_search.record import export
    from spectral_search.record.wording import short_value

    record = status(name, results)
    found, objective = export.export_unlike(record, Path(folder), top), record.objective
    models = [{"file": str(one.file), "trial": one.trial.number, "model": one.model} for one in found.exported]
    every, lines = [one.model for one in found.exported], list[str]()
    telling = [key for key in every[0] if any(model.get(key) != every[0][key] for model in every)]
    for one, model in zip(found.exported, models, strict=True):
        model |= {objective.val_name: one.trial.best_value, "apart": one.apart}
        own = one.model if one.model["kind"] != every[0]["kind"] else {key: one.model[key] for key in telling}
        values = (f"{key}={short_value(value)}" for key, value in own.items() if key != "kind")
        told = " ".join([str(one.model["kind"]), *values])
        value = f"val {objective.label} {objective.told(one.trial.best_value)}"
        far = f"{one.apart:+.{objective.digits}f} from the best" if one.apart else "the best"
        lines.append(f"wrote {one.file}: trial {one.trial.number}, {told}; {value}, {far}")
    if len(models) < top:
        lines.append(f"Run {name} has {len(models)} architectures with weights, fewer than the {top} asked for.")
    if found.not_kept:
        lines.append(f"The weights of trials {', '.join(map(str, found.not_kept))} were not kept: they were left out.")
    return {"models": models, "asked": top, "not_kept": found.not_kept}, lines


def evaluate(
    model: str,
    data: str,
    part: str = "auto",
    results: str | None = None,
    *,
    observed: bool = False,
    shown: Shown | None = None,
) -> dict[str, Any]:
    """Scores of a model by the metrics of its task, on a shard, or on one part of a data root.

    On `val` of the data root that a model was chosen on, the split and the frozen noise are those of its search, so
    the leaderboard's number comes out again.

    Args:
        model: An exported YAML file, a folder with config.yaml, or the name of a run.
        data: A shard, its folder, or a data root.
        part: Which part of a root; auto takes test where there is one, else val.
        results: The results folder.
        observed: The examples are as observed: no noise is added to them. Not for val, whose noise is the search's.
        shown: Where a fetch of the data shows its progress.

    Raises:
        RequestError: There is no such model, data or part, or they do not fit each other.
    """
    if part not in _PARTS:
        raise RequestError(f"The part must be one of {', '.join(_PARTS)}, found {part!r}.")
    path = find_model(model, results)
    from spectral_search.record.bundle import read_bundle, read_bundle_config
    from spectral_search.record.stack_bundle import is_stack

    if is_stack(read_bundle_config(path)):
        from spectral_search.service.stacks import evaluate_stack

        if observed:
            raise RequestError("A stack is evaluated as its models were: leave --observed out.")
        return evaluate_stack(read_bundle(path), _task_of_model(path), local_data(data, "--data", shown), part)
    is_run = path.name == "best" and path != given_path(model, "The model")
    run = RunPaths(results_root(results), model) if is_run else None
    return _task_of_model(path).evaluate(path, local_data(data, "--data", shown), part, run, observed=observed)


def predict(
    model: str,
    data: str,
    destination: str,
    results: str | None = None,
    *,
    observed: bool = False,
    shown: Shown | None = None,
) -> dict[str, Any]:
    """Write predictions for every example beside the labels there are, as .csv, .parquet or what else the task writes.

    With `observed` nothing random is added to examples; otherwise recorded noise is taken, or drawn if there is none.

    Returns:
        What to tell of them, how many they are first.
    """
    file, faults = Path(destination), list[str]()
    path = gathered(faults, lambda: find_model(model, results))
    task = task_of(DEFAULT_TASK) if path is None else _task_of_model(path)
    task.check_table_name(file)
    if path is None:
        raise RequestError(*faults)
    return task.predict(path, local_data(data, "The data", shown), file, called=model, observed=observed)


def told_scores(model: str, scores: dict[str, Any], results: str | None = None) -> str:
    """What `evaluate` found, in a line."""
    task = _task_of_model(find_model(model, results))
    measured = ", ".join(f"{metric.label} {metric.told(scores[metric.name])}" for metric in task.metrics)
    about = "; ".join(str(scores[key]) for key in ("part", "noise") if key in scores)
    return f"{measured} on {scores[task.examples]:,} {task.examples} ({about})"


def _task_of_model(path: Path) -> "Task":
    """The task of an exported model."""
    from spectral_search.record.bundle import read_bundle_config

    return task_of(str(read_bundle_config(path).get("task") or DEFAULT_TASK))
