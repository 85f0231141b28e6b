"""What a benchmark finds: measured numbers, each beside the floor or the peer it is held to, and the target."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Target:
    """A bound on a ratio, or on a number that has nothing beside it."""

    sense: Literal["at most", "at least"]
    bound: float

    def met(self, value: float) -> bool:
        return value <= self.bound if self.sense == "at most" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One measured number.

    Attributes:
        name: What was measured.
        value: The number.
        unit: Its unit.
        beside: The floor or the peer, in words.
        reference: Its number in the same unit, from the same run.
        target: Bound on the ratio value / reference; without a reference, on the value itself.
    """

    name: str
    value: float
    unit: str
    beside: str = ""
    reference: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """value / reference; None without a reference."""
        return None if self.reference is None else self.value / self.reference

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.target.met(self.value if self.ratio is None else self.ratio)

    def document(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "beside": self.beside or None,
            "reference": self.reference,
            "ratio": self.ratio,
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


@dataclass(frozen=True)
class Findings:
    """The rows of one part, and the physics behind them.

    Attributes:
        rows: What was measured.
        physics: What bounds these numbers, in a few sentences.
        notes: What to know of this run, such as what could not be measured, and why.
        details: Further plain values for the record.
        drawn: What the part's figure shows; not in the record.
        summary: Plain values that the whole document begins with, so that whoever reads it need not look for them.
    """

    rows: list[Row]
    physics: str
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    drawn: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [row.document() for row in self.rows]
        return {"rows": rows, "physics": self.physics, "notes": self.notes, "details": self.details}
