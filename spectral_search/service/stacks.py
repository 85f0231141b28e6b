"""Stacks of exported models: fitted, compared with what they are made of, exported, evaluated."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError, gathered
from spectral_search.places import require_output, writing
from spectral_search.service.fetched import local_data
from spectral_search.service.found_model import find_model
from spectral_search.service.shown import Shown
from spectral_search.spec.task_modules import DEFAULT_TASK
from spectral_search.task.registry import task_of

if TYPE_CHECKING:
    from spectral_search.record.bundle import Bundle
    from spectral_search.task.preparation import Examined
    from spectral_search.task.task import Task

_SEED = 42


def stack(
    models: Sequence[str],
    destination: str,
    data_root: str,
    results: str | None = None,
    shown: Shown | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """Fit a stack to what models predict for val, compare it on val and on test, and export it.

    Args:
        models: Exported YAML files, folders of them, folders with config.yaml, or names of runs.
        destination: The YAML file of the stack.
        data_root: The data that the models were chosen on.
        results: The results folder.
        shown: Where a fetch of the data shows its progress.

    Returns:
        As JSON, and lines for people.

    Raises:
        RequestError: Something named is no model, models do not go together, or the file cannot be written.
    """
    from spectral_search.record.bundle import read_bundle
    from spectral_search.record.manifest import utc_now
    from spectral_search.record.stack_bundle import Stack, is_stack, val_digest
    from spectral_search.record.stack_comparison import STACK, compared, comparison_lines
    from spectral_search.record.stacking import Kind, fitted, folds

    file = Path(destination)
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise RequestError(f"{file} is not a .yaml file name; give one such as stack.yaml.")
    found, faults = list[tuple[str, Path]](), list[str]()
    for model in models:
        found += gathered(faults, lambda named=model: _models(named, results)) or []  # type: ignore[misc]
    if faults:
        raise RequestError(*faults)
    names, paths = _unlike_names(found), [path for _, path in found]
    if len(paths) < 2:
        raise RequestError(f"A stack needs two models at least, and {len(paths)} is named.")
    bundles = [read_bundle(path) for path in paths]
    if nested := [name for name, bundle in zip(names, bundles, strict=True) if is_stack(bundle.config)]:
        raise RequestError(f"{nested[0]} is a stack: name the models that it is made of.")
    task = _one_task(names, bundles)
    require_output(file, makes_folders=True)
    data = local_data(data_root, "--data-root", shown)
    val = _examined(task, names, bundles, data, "val")
    first = val[0]
    kind, made = Kind.of(first.target_N, task.logits), folds(len(first.target_N), first.group_NG, _SEED)
    trees = fitted(_predicted(val), first.target_N, kind, made, _SEED)
    whole = Stack(tuple(names), tuple(bundles), trees, _SEED, val_digest(first))
    parts = {"val": compared(task, whole, val)}
    if test := _tested(task, names, bundles, data):
        parts["test"] = compared(task, whole, test)
    metrics = {metric.val_name: parts["val"]["values"][STACK][metric.name] for metric in task.metrics}
    metrics |= {"test": parts["test"]["values"][STACK]} if test else {}
    provenance = {"models": [_origin(bundle) for bundle in bundles], "created_at": utc_now(), **metrics}
    with writing(file):
        whole.write(file, str(bundles[0].config.get("task") or DEFAULT_TASK), metrics, provenance)
    document = {"file": str(file), "models": names, "classes": kind.classes, "folds": len(made), **parts}
    lines = [line for part in parts.values() for line in (*comparison_lines(task, part), "")]
    return document, [*lines, f"wrote {file}"]


def evaluate_stack(bundle: "Bundle", task: "Task", data: Path, part: str) -> dict[str, Any]:
    """Scores of a stack; val examples that it was fitted on by the trees that saw nothing of them."""
    from spectral_search.record.stack_bundle import Stack

    held = Stack.of(bundle)
    assert held is not None
    examined = _examined(task, held.names, held.models, data, part)
    scores = task.scores(held.predictions(examined), examined[0].target_N)
    return {**scores, task.examples: len(examined[0].target_N), "part": examined[0].part}


def _models(named: str, results: str | None) -> list[tuple[str, Path]]:
    """What one name means: a model, or every model of a folder that has no config.yaml."""
    path = find_model(named, results)
    if not path.is_dir() or (path / "config.yaml").exists():
        return [(named, path)]
    files = sorted((file for file in path.iterdir() if file.suffix in (".yaml", ".yml")), key=lambda file: file.stem)
    if not files:
        raise RequestError(f"{path} holds no exported model: give a folder with config.yaml, or with .yaml files.")
    return [(file.stem, file) for file in files]


def _unlike_names(found: Sequence[tuple[str, Path]]) -> list[str]:
    if twice := [
        name for at, (name, path) in enumerate(found) if path.resolve() in [p.resolve() for _, p in found[:at]]
    ]:
        raise RequestError(f"{twice[0]} is named twice: name each model once.")
    short = [Path(name).stem for name, _ in found]
    return (
        short
        if len({*short, "stack", "mean", "majority vote"}) == len(short) + 3
        else [f"{at}:{name}" for at, (name, _) in enumerate(found, start=1)]
    )


def _one_task(names: Sequence[str], bundles: "Sequence[Bundle]") -> "Task":
    tasks = [str(bundle.config.get("task") or DEFAULT_TASK) for bundle in bundles]
    if len(set(tasks)) > 1:
        told = ", ".join(f"{name} of {task}" for name, task in zip(names, tasks, strict=True))
        raise RequestError(f"Models of several tasks make no stack ({told}): name models of one task.")
    return task_of(tasks[0])


def _examined(
    task: "Task", names: Sequence[str], bundles: "Sequence[Bundle]", data: Path, part: str
) -> "list[Examined]":
    """What each model predicts for a part, found to be the same examples."""
    from spectral_search.record.stack_bundle import val_digest

    found = [task.examined(bundle, data, part) for bundle in bundles]
    first = found[0]
    for name, one in zip(names, found, strict=True):
        if one.predicted_DN.shape != first.predicted_DN.shape or val_digest(one) != val_digest(first):
            raise RequestError(
                f"{name} has other {first.part} {task.examples} than {names[0]}: stack models of one data "
                "section, whose split, draws and history are the same."
            )
    return found


def _tested(task: "Task", names: Sequence[str], bundles: "Sequence[Bundle]", data: Path) -> "list[Examined]":
    """On test; nothing where there are no test examples, so that val is what there is."""
    found = _examined(task, names, bundles, data, "auto")
    return found if found[0].part == "test" else []


def _predicted(examined: "Sequence[Examined]") -> Any:
    import numpy as np

    return np.stack([one.predicted_DN for one in examined])


def _origin(bundle: "Bundle") -> dict[str, Any]:
    return {key: bundle.provenance.get(key) for key in ("run", "trial", "epoch", "sha256")}
