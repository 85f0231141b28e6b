"""What networks are measured against: a task's baselines on the data of a search, and its audit of data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths, results_root
from spectral_search.service.default_data import with_data
from spectral_search.service.recorded_run import recorded_data, recorded_spec
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.service.task_verbs import meant_task, options_of, verb_of
from spectral_search.spec.load import parse_set
from spectral_search.spec.run import RunSpec
from spectral_search.task.verbs import Subject, VerbOptions

if TYPE_CHECKING:
    from spectral_search.task.verbs import Answer


def baselines(
    options: RunOptions, shown: Shown, *, like: str | None = None, task: str | None = None, **own: Any
) -> "Answer":
    """Fit what networks are measured against, on exactly the data of a search.

    Args:
        options: The data root, `num_train`, overrides of the data section and the results folder.
        shown: Where progress is shown.
        like: A run whose data are taken.
        task: Whose baselines; a name or a .py file; that of the run where one is named.
        own: What the task's `baselines` takes.

    Raises:
        RequestError: The task has none, the data or an option are wrong, or the results folder cannot be written.
        KeyboardInterrupt: It was interrupted; finished methods are stored, where the task says so.
    """
    return _asked("baselines", options, shown, like, task, own)


def audit(options: RunOptions, shown: Shown, *, task: str | None = None, **own: Any) -> "Answer":
    """Look for what makes numbers on a data set misleading.

    Args:
        options: The data root and the results folder.
        shown: Where progress is shown.
        task: Whose audit; a name or a .py file.
        own: What the task's `audit` takes.

    Raises:
        RequestError: The task has none, the data or an option are wrong, or the results folder cannot be written.
    """
    return _asked("audit", options, shown, None, task, own)


def _asked(
    name: str, options: RunOptions, shown: Shown, like: str | None, task: str | None, own: dict[str, Any]
) -> "Answer":
    meant = meant_task(task, like, options.results)
    verb = verb_of(name, meant)
    asked = options_of(verb, own)
    keys = {field: key for field, key in _keys(verb.options).items() if getattr(asked, field) is not None}
    if like is None:
        subject = _of_data(name, meant, options, shown, {key: getattr(asked, field) for field, key in keys.items()})
    elif options.num_train is not None or options.sets or keys:
        flags = ["--num-train", *(f"--{field.replace('_', '-')}" for field in _keys(verb.options))]
        raise RequestError(f"--like takes the data as a run has them: leave {', '.join(flags)} and --set out.")
    else:
        subject = _of_run(like, options, shown)
    return verb.carry_out(subject, asked, shown)


def _keys(options: type[VerbOptions]) -> dict[str, str]:
    """The options that are short for a key of the data section, and that key."""
    extras = {name: field.json_schema_extra for name, field in options.model_fields.items()}
    return {name: str(extra["key"]) for name, extra in extras.items() if isinstance(extra, dict) and extra.get("key")}


def _of_data(name: str, task: str, options: RunOptions, shown: Shown, data: dict[str, Any]) -> Subject:
    """The data that a search with the defaults of the data section would use."""
    plain = RunSpec.from_dict({"stage": name, "task": task, "model": {"kind": "mlp"}})
    spec, notes = with_data(plain.override({**data, **options.overrides(), **_data_sets(options.sets)}), shown, False)
    for note in notes:
        shown.say(note)
    return Subject(spec, results_root(options.results))


def _of_run(name: str, options: RunOptions, shown: Shown) -> Subject:
    """The data of a run, found to be what they were."""
    from spectral_search.record.run_records import RunRecord

    record = RunRecord.load(RunPaths(results_root(options.results), name).require())
    found = recorded_data(record, options, shown)
    return Subject(recorded_spec(record, options), results_root(options.results), record, found.plan)


def _data_sets(sets: Sequence[str]) -> dict[str, Any]:
    """Overrides of the data section, which is all that baselines have of a spec."""
    values = dict(parse_set(text) for text in sets)
    if other := [key for key in values if not key.startswith("data.")]:
        raise RequestError(f"Baselines have no {', '.join(other)}: --set takes keys of data, such as data.num_val.")
    return values
