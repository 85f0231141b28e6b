"""A part of a search's space that one parameter bounds: where trials that failed lie and no other does."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from spectral_search.spec.domain import same_key
from spectral_search.spec.yaml_io import show

Params = Mapping[str, Any]
_CHANCE = 0.1
"""How probable it may be that a threshold parts the failed from the others by chance alone, for it to be told."""
_ENDS = 2
"""Of a range: the failed may lie at either."""


@dataclass(frozen=True)
class SpacePart:
    """The points whose value of a key is a given one, or lies on one side of it.

    Attributes:
        key: The dotted key; empty for all points.
        relation: is: that very value; from: it or more; to: it or less. Of a list its largest number counts.
        value: The value, or the bound.
    """

    key: str = ""
    relation: Literal["is", "from", "to"] = "is"
    value: Any = None

    def holds(self, params: Params) -> bool:
        """Whether a point lies in it; one that lacks the key does not."""
        if not self.key:
            return True
        if self.key not in params:
            return False
        if self.relation == "is":
            return same_key(params[self.key]) == same_key(self.value)
        size = _size(params[self.key])
        return size is not None and (size >= self.value if self.relation == "from" else size <= self.value)

    @property
    def told(self) -> str:
        """For people: `model.hidden [384]`, `fit.lr 0.05 or more`."""
        if not self.key:
            return "the whole space"
        more = {"is": "", "from": " or more", "to": " or less"}[self.relation]
        value = float(f"{self.value:.4g}") if isinstance(self.value, float) else self.value
        return f"{self.key} {show(value)}{more}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"key": self.key, "relation": self.relation, "value": self.value}


WHOLE = SpacePart()
"""All points."""


@dataclass(frozen=True)
class PausedPart:
    """A part that gets no more trials.

    Attributes:
        part: Where.
        cause: What trials failed of there.
        trials: Their numbers.
    """

    part: SpacePart
    cause: str
    trials: tuple[int, ...]

    @property
    def told(self) -> str:
        """For people."""
        trials = ", ".join(map(str, self.trials))
        return f"paused: {self.part.told} gets no more trials, since {trials} failed there ({self.cause})"

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"part": self.part.to_dict(), "cause": self.cause, "trials": list(self.trials), "told": self.told}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "PausedPart":
        """What `to_dict` gave."""
        return cls(SpacePart(**document["part"]), document["cause"], tuple(document["trials"]))


def shared_part(failed: Sequence[Params], others: Sequence[Params]) -> SpacePart | None:
    """The smallest part that holds all points that failed and none of the others; None where no one key tells.

    A value that all have is taken before a threshold, of several the one of a key with the most values. With few trials
    some key nearly always happens to part them somewhere, so that a threshold must be improbable by chance.

    Args:
        failed: At least one; a single one shares nothing with another.
        others: Points that did not fail.
    """
    if len(failed) < 2:
        return None
    keys = [key for key in failed[0] if all(key in params for params in failed)]
    parts = [part for key in keys if (part := _value(key, failed)) is not None]
    parts = [part for part in parts if not any(part.holds(params) for params in others)]
    if parts:
        seen = [*failed, *others]
        return max(parts, key=lambda part: len({same_key(p[part.key]) for p in seen if part.key in p}))
    return _threshold(keys, failed, others) if others else None


def _value(key: str, failed: Sequence[Params]) -> SpacePart | None:
    same = len({same_key(params[key]) for params in failed}) == 1
    return SpacePart(key, "is", failed[0][key]) if same else None


def _threshold(keys: Sequence[str], failed: Sequence[Params], others: Sequence[Params]) -> SpacePart | None:
    numeric = [key for key in keys if all(_size(p[key]) is not None for p in [*failed, *others] if key in p)]
    # Of all ways to choose as many failed trials by chance, a key parts off two: those at either end of it.
    if _ENDS * len(numeric) > _CHANCE * math.comb(len(failed) + len(others), len(failed)):
        return None
    for key in numeric:
        sizes = [size for params in failed if (size := _size(params[key])) is not None]
        for part in (SpacePart(key, "from", min(sizes)), SpacePart(key, "to", max(sizes))):
            if not any(part.holds(params) for params in others):
                return part
    return None


def _size(value: Any) -> float | None:
    """A number, or the largest of a list of numbers, such as the widest of a network's layers; None for others."""
    if isinstance(value, list | tuple) and value:
        sizes = [_size(item) for item in value]
        return None if any(size is None for size in sizes) else max(size for size in sizes if size is not None)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
