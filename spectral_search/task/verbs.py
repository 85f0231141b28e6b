"""What a task may bring beside searches: verbs that make its data, look into them and judge them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import Field

from spectral_search.spec.base import Section
from spectral_search.spec.run import RunSpec

if TYPE_CHECKING:
    from rich.console import RenderableType


class VerbOptions(Section):
    """What a verb of a task takes beside what it takes for every task: each field is an option of the command line.

    Fields are numbers, texts or truth values, or these or None, each with a default; see `option`.
    """


def option(
    default: Any, description: str, *, metavar: str | None = None, key: str | None = None, **bounds: float
) -> Any:
    """A field of `VerbOptions`.

    Args:
        default: Its value where it is not given.
        description: For help.
        metavar: What stands for its value in help.
        key: The key of a data section that it is short for: the data of a run leave it no choice.
        bounds: ge, gt, le or lt of a number.
    """
    limits: dict[str, Any] = {"json_schema_extra": {"metavar": metavar, "key": key}, **bounds}
    return Field(default, description=description, **limits)


class Audience(Protocol):
    """Who is told how a verb goes on."""

    @property
    def progress(self) -> Callable[[str], Callable[[int, int], None]]:
        """From the title of a long step, what hears how much of it is done and how much there is."""

    def say(self, text: str) -> None:
        """Show one line."""


@dataclass(frozen=True)
class Answer:
    """What a verb gives.

    Attributes:
        document: All of it as plain values, which `--json` prints.
        shown: The same for a terminal.
        lines: What is told after that, each a line that is not broken.
        has_faults: Whether the data cannot be used as they are: the exit code is then 1.
    """

    document: dict[str, Any]
    shown: "RenderableType | None" = None
    lines: tuple[str, ...] = ()
    has_faults: bool = False


@dataclass(frozen=True)
class Subject:
    """Data that baselines or an audit are asked for: those of a run, or those that a search would use by default.

    Attributes:
        spec: Says which data, by its data section.
        results: The results root, where what was found is kept.
        run: The record of the run; None where none is named.
        data: The `DataPlan` of the data as the run has recorded them; None where none is named.
    """

    spec: RunSpec
    results: Path
    run: Any = None
    data: Any = None


SubjectT = TypeVar("SubjectT")
OptionsT = TypeVar("OptionsT", bound=VerbOptions)


@dataclass(frozen=True)
class Verb(Generic[SubjectT, OptionsT]):
    """A verb as a task brings it.

    Attributes:
        help: What it does, for people.
        options: What it takes beside its subject.
        carry_out: Does it: of a folder to be made (simulate), a path (inspect) or a `Subject` (baselines, audit), with
            the options, and telling how it goes on. Its module imports what is heavy only when it is called.
        of: What its path is, for people.
    """

    help: str
    options: type[OptionsT]
    carry_out: Callable[[SubjectT, OptionsT, Audience], Answer]
    of: str = ""


@dataclass(frozen=True)
class DefaultData:
    """Data that a task makes once for searches that are given none.

    Attributes:
        name: Of the folder or file in the cache; another one for whatever would be made otherwise.
        making: What is done to make them, such as "simulating 4,096 spirals".
        takes: How long that takes, such as "about a minute".
        called: What they are, such as "simulated spirals".
        write: Makes them at a path, telling how it goes on.
        caveat: What they are not.
    """

    name: str
    making: str
    takes: str
    called: str
    write: Callable[[Path, Audience], None]
    caveat: str = ""
