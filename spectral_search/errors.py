"""The exceptions that are told in one plain sentence instead of a traceback."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class RequestError(Exception):
    """A fault in what the user asked for or pointed at.

    Args:
        faults: One plain sentence per fault, each saying what was found and what to do.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults: tuple[str, ...] = faults


class RunError(Exception):
    """The work cannot go on, through no fault of the request: a full disk, say. What was recorded is kept."""


class DiskFullError(Exception):
    """A process of a trial could write no more; the message is the system's."""


class OutputClosedError(RunError):
    """Nobody reads the output any more, as after `| head`."""


def gathered(faults: list[str], step: Callable[[], T]) -> T | None:
    """The result of a step; its faults are put to the others, so that all are told at once."""
    try:
        return step()
    except RequestError as error:
        faults += error.faults
        return None
