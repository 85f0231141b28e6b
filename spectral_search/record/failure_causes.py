"""Failed trials by what they failed of, and the part of the space where that happened.

A cause is what a person would say first: out of memory, not a finite loss, an error in their own code. It is read from
the sentence that the trial ended with and from the trial's log, where the first error of a chain is the real one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from spectral_search.spec.space_part import SpacePart, shared_part

_OWN = "error in own task: "
_TRACEBACK = "Traceback (most recent call last):"
_SEE = re.compile(r" \(see trials/[^)]*\)")
_FRAME = re.compile(r'^ +File "(?P<file>[^"]+)", line (?P<line>\d+)')
_ERROR = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(: |$)")
_VARYING = re.compile(r"0x[0-9a-f]+|[-+]?\d[\d.,]*(e[-+]?\d+)?")
_READING = (
    r"OSError|FileNotFoundError|PermissionError|\w*DirectoryError|EOFError|BadZipFile|UnicodeDecodeError|TimeoutError|"
    r"BlockingIOError|DamagedFileError"
)
# The first three are taken also where the user's own code raised (`cause_of`): they stay in front.
_KNOWN = (
    ("not a finite loss", r"became [-+]?(nan|inf)|without a finite val|^NonFiniteLossError"),
    ("killed by the system", r"process died|process of its pass died|signal 9"),
    (
        "out of memory",
        r"^(\w*MemoryError|NoRoomError|TooLargeError)\b|out of memory|n.t allocate memory|bad_alloc",
    ),
    ("the device failed", r"\bCUDA error|\bcu(DNN|BLAS)\w* error|device-side assert"),
    (
        "data unreadable",
        rf"^({_READING})\b|^RequestError.*(cannot be read|reading .* failed|damaged|missing|no such file)",
    ),
)
"""Causes with the words by which they are known, the more telling one first."""


@dataclass(frozen=True)
class Failed:
    """A trial that failed.

    Attributes:
        number: Its number.
        params: Its searched values.
        error: What it ended with.
        log: What its log holds, or the end of it.
    """

    number: int
    params: Mapping[str, Any]
    error: str
    log: str = ""


@dataclass(frozen=True)
class FailureGroup:
    """Trials that failed of the same thing.

    Attributes:
        cause: What it was, in plain words.
        trials: Their numbers.
        of: Trials of the search so far.
        part: The part of the space that they share and that no trial lies in that did not fail; None where no one
            parameter tells.
        example: Number of one of them.
        line: The real error of that one, with the place in the code where that is known.
        log: Its log within the run's folder.
    """

    cause: str
    trials: tuple[int, ...]
    of: int
    part: SpacePart | None
    example: int
    line: str
    log: str

    @property
    def where(self) -> str | None:
        """The part in words."""
        return None if self.part is None else self.part.told

    @property
    def told(self) -> str:
        """One line for people."""
        if len(self.trials) == 1:
            # A cause that is an error says no more than the error itself.
            owner, _, error = self.cause.rpartition(_OWN)
            cause = owner + _OWN if _OWN in self.cause else "" if error in _alike(self.line) else f"{self.cause}: "
            return f"trial {self.example} failed: {cause}{self.line} (see {self.log})"
        at = f", all at {self.where} and no other there" if self.part is not None else ""
        trials = f"{len(self.trials)} of {self.of} trials failed"
        return f"{trials}: {self.cause}{at}; such as trial {self.example}: {self.line} (see {self.log})"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "cause": self.cause,
            "count": len(self.trials),
            "of": self.of,
            "trials": list(self.trials),
            "where": self.where,
            "condition": None if self.part is None else self.part.to_dict(),
            "example": {"trial": self.example, "error": self.line, "log": self.log},
        }


def failure_groups(
    failed: Sequence[Failed], sound: Sequence[Mapping[str, Any]], of: int, own: str = ""
) -> list[FailureGroup]:
    """The failed trials by cause, the largest group first.

    Args:
        failed: Those that failed.
        sound: The searched values of those that trained and did not fail.
        of: Trials of the search so far.
        own: Name of the file of the user's own task, where the search is of one.
    """

    def cause(trial: Failed) -> str:
        return cause_of(trial.error, trial.log, own)

    groups = []
    for found, members in groupby(sorted(failed, key=lambda trial: (cause(trial), trial.number)), cause):
        trials = list(members)
        first = trials[0]
        # Where no trial was sound, any part would hold none of those, and say nothing.
        part = shared_part([trial.params for trial in trials], sound) if sound else None
        line, numbers = error_line(first.error, first.log), tuple(trial.number for trial in trials)
        log = f"trials/{first.number:04d}/log.txt"
        groups.append(FailureGroup(found, numbers, of, part, first.number, line, log))
    return sorted(groups, key=lambda group: (-len(group.trials), group.trials))


def own_file(task: str | None) -> str:
    """The name of the file of a user's own task; empty for a task of a package."""
    return task.rpartition("/")[2] if task is not None and task.endswith(".py") else ""


def cause_of(error: str, log: str = "", own: str = "") -> str:
    """The cause of a failure in plain words, the same for failures that differ in numbers alone.

    Args:
        error: What the trial ended with.
        log: Its log.
        own: Name of the file of the user's own task.
    """
    root = _root(log)
    said = root.error if root is not None else _SEE.sub("", error)
    if own and root is not None and any(file.rpartition("/")[2] == own for file, _ in root.frames):
        # Whatever the user's own code raised is theirs to mend, but for what no code of theirs is to blame for.
        return _known(error, _KNOWN[:3]) or _known(said, _KNOWN[:3]) or _OWN + _alike(said)
    return _known(error) or _known(said) or _alike(said) or "no reason given"


def _known(text: str, causes: Sequence[tuple[str, str]] = _KNOWN) -> str | None:
    return next((name for name, words in causes if re.search(words, text, re.IGNORECASE)), None)


def error_line(error: str, log: str = "") -> str:
    """The real error in one line: the first of a chain, where the log holds it, else what the trial ended with."""
    root = _root(log)
    # What is no error of a type, as a loss that became nan or a process that was killed, wrote no traceback: one in the
    # log is of something before.
    if root is None or (error and _ERROR.match(error) is None):
        return _SEE.sub("", error)
    if not root.frames:
        return root.error
    file, line = root.frames[-1]
    return f"{file.rpartition('/')[2]}:{line}: {root.error}"


@dataclass(frozen=True)
class _Root:
    """The first error of a traceback: its line, and the places that it came through."""

    error: str
    frames: list[tuple[str, int]]


def _root(log: str) -> _Root | None:
    """The first error of the chain that the log's last traceback tells of."""
    lines = log.splitlines()
    begins = [place for place, line in enumerate(lines) if line == _TRACEBACK]
    if not begins:
        return None
    # Tracebacks of a chain follow each other with a sentence between them; an earlier attempt ends with an error.
    chained = ("During handling of the above", "The above exception was")
    first = begins[-1]
    for place in reversed(begins[:-1]):
        if not any(line.startswith(chained) for line in lines[place:first]):
            break
        first = place
    frames: list[tuple[str, int]] = []
    # Frames and their code are indented, so the first line that is not and names a type is the error.
    for line in lines[first + 1 :]:
        if (frame := _FRAME.match(line)) is not None:
            frames.append((frame["file"], int(frame["line"])))
        elif _ERROR.match(line) is not None:
            return _Root(_short(line), frames)
    return None


def _short(error: str) -> str:
    """Without the module of the error's class."""
    kind, colon, message = error.partition(": ")
    return f"{kind.rpartition('.')[2]}{colon}{message}"


def _alike(error: str) -> str:
    """An error with its numbers taken out: shapes and addresses differ from trial to trial."""
    return _VARYING.sub("...", error)
