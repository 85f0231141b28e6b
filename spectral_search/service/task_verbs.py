"""The verbs that a task brings: found in the task that is meant, with the options that they take there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.places import given_path
from spectral_search.record.paths import RunPaths, results_root
from spectral_search.spec.faults import build_section
from spectral_search.spec.task_modules import DEFAULT_TASK
from spectral_search.task.registry import task_of
from spectral_search.task.verbs import Answer, Audience, Verb, VerbOptions


def meant_task(task: str | None, like: str | None = None, results: str | None = None) -> str:
    """The task that a verb is asked of: that of a run, else the one that was named, else the default.

    Args:
        task: A name, or a .py file; None where none was given.
        like: A run.
        results: The results folder.

    Raises:
        RequestError: There is no such run, or it is of another task than was named.
    """
    named = str(given_path(task, "--task").absolute()) if task is not None and task.endswith(".py") else task
    if like is None:
        return named or DEFAULT_TASK
    from spectral_search.record.run_records import RunRecord

    record = RunRecord.load(RunPaths(results_root(results), like).require())
    of_run = str(record.spec.get("task") or DEFAULT_TASK)
    if named is not None and named != of_run:
        raise RequestError(f"Run {like} is of the task {of_run}, and --task names {named}: leave --task out.")
    return of_run


def verb_of(name: str, task: str) -> Verb[Any, Any]:
    """A verb of a task.

    Args:
        name: simulate, inspect, baselines or audit.
        task: From `meant_task`.

    Raises:
        RequestError: There is no such task, or it does not bring this verb.
    """
    brought = task_of(task).verbs()
    if name in brought:
        return brought[name]
    has = f"it has {', '.join(sorted(brought))}" if brought else "it has no verb of its own"
    raise RequestError(f"The task {task_of(task).name} has no {name}: {has}.")


def options_of(verb: Verb[Any, Any], given: Mapping[str, Any]) -> VerbOptions:
    """The options of a verb.

    Raises:
        RequestError: A sentence for each that does not exist or has an impossible value.
    """
    options, faults = build_section(verb.options, "", dict(given))
    if options is None:
        raise RequestError(*(f"{fault.text.removesuffix('.')}." for fault in faults))
    return options


def on_path(name: str, path: Path, task: str | None, given: Mapping[str, Any], audience: Audience) -> Answer:
    """Carry out a verb whose subject is a path."""
    verb = verb_of(name, meant_task(task))
    return verb.carry_out(path, options_of(verb, given), audience)
