"""A number or a verdict with the records it rests on, and how differences are worded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spectral_search.record.resampling import Estimate

Answer = Literal["yes", "no", "too close to call", "measured", "not yet run"]


@dataclass(frozen=True)
class Finding:
    """One number or verdict.

    Attributes:
        key: Its name for programs.
        question: What is asked.
        answer: The verdict; `measured` for a number.
        evidence: The records it rests on, in sentences.
        command: What would decide it, where it is open.
        stop: Whether it says that more work of this kind is not worth it.
        value: The number, where there is one.
    """

    key: str
    question: str
    answer: Answer
    evidence: str
    command: str | None = None
    stop: bool = False
    value: Estimate | float | None = None

    @property
    def is_open(self) -> bool:
        """Whether what would decide it was not run."""
        return self.answer == "not yet run"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        value = self.value.to_dict() if isinstance(self.value, Estimate) else self.value
        return {**vars(self), "value": value}


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: a, b and c."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def signed(found: Estimate | None, value: float) -> str:
    """A difference with its interval, in words."""
    interval = "" if found is None else f" (paired 95% interval {found.low:+.3f} to {found.high:+.3f})"
    return f"{value:+.3f}{interval}"
