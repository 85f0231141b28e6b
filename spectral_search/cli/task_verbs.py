"""Verbs that a task brings: their help and their options are those of the task that the arguments name."""

import argparse
import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer
from typer.main import get_command
from typer.models import ArgumentInfo

from spectral_search.cli.derived_help import DerivedHelp
from spectral_search.cli.shared import make_console, print_json

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from spectral_search.spec.base import Section
    from spectral_search.task.verbs import Answer

TaskName = Annotated[
    str | None, typer.Option("--task", metavar="NAME", help="Whose data they are: {tasks}, or a .py file [{task}].")
]
_CARRY_OUT: dict[str, Callable[..., None]] = {}
"""The functions of these verbs; each takes the options of a task as its last keywords."""


class OfTask(DerivedHelp):
    """Such a verb before its task is known; what parses its arguments is the verb of that task."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """That of the task's verb.

        Raises:
            RequestError: There is no such task, or it has no such verb.
        """
        return self.of(args).make_context(info_name, args, parent, **extra)

    def of(self, args: Sequence[str]) -> Any:
        """The verb of the task that arguments name."""
        from spectral_search.service.task_verbs import meant_task, verb_of

        early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        for name in ("--task", "--like", "--results"):
            early.add_argument(name, nargs="?")  # what is missing is told by whoever parses all of them
        named, _ = early.parse_known_args(args)
        name = str(self.name)
        verb = verb_of(name, meant_task(named.task, named.like, named.results))
        made = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        made.command(name, cls=DerivedHelp, help=verb.help)(_with_options(_CARRY_OUT[name], verb.options, verb.of))
        return get_command(made)


def of_task(function: Callable[..., None]) -> Callable[..., None]:
    """A verb as it is registered: without the options that are known with its task."""
    _CARRY_OUT[function.__name__] = function
    return _with_options(function, None, "")


def _with_options(function: Callable[..., None], options: "type[Section] | None", of: str) -> Callable[..., None]:
    """The verb with the options of a task, as typer is to see it.

    Args:
        function: Takes them as its last keywords.
        options: What they are; without them no module of specs is loaded, which takes as long as all else.
        of: What the verb's argument is; as the function says it when empty.
    """
    hints = get_type_hints(function, include_extras=True)
    common = inspect.signature(function).parameters.values()
    taken = [
        parameter.replace(annotation=_said(hints[parameter.name], of), kind=parameter.KEYWORD_ONLY)
        for parameter in common
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    own = [_parameter(name, field) for name, field in options.model_fields.items()] if options is not None else []

    @wraps(function)
    def verb(**given: Any) -> None:
        function(**given)

    parameters = [*taken[:-1], *own, taken[-1]]  # --json comes last
    verb.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return verb


def _said(annotation: Any, of: str) -> Any:
    """An annotation, where it is of an argument with what the task says of it."""
    kind, info = get_args(annotation)
    return Annotated[kind, typer.Argument(help=of)] if of and isinstance(info, ArgumentInfo) else annotation


def _parameter(name: str, field: "FieldInfo") -> inspect.Parameter:
    """An option of the command line."""
    from annotated_types import Ge, Le

    said: Any = field.json_schema_extra or {}
    info: dict[str, Any] = {"metavar": said.get("metavar"), "help": field.description}
    for bound in field.metadata:
        info |= {"min": bound.ge} if isinstance(bound, Ge) else {"max": bound.le} if isinstance(bound, Le) else {}
    kind: Any = field.annotation
    annotation = Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", **info)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)


def show_answer(answer: "Answer", as_json: bool) -> None:
    """Print what a verb gives; the exit code is 1 where the data have faults."""
    if as_json:
        print_json(answer.document)
    else:
        if answer.shown is not None:
            make_console(False).print(answer.shown)
        for line in answer.lines:
            typer.echo(line)
    if answer.has_faults:
        raise typer.Exit(1)
