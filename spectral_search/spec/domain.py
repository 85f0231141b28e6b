"""One searched value: a range or a list of choices, and when it is searched at all."""

import json
from typing import Any, Literal

from spectral_search.spec.base import Section
from spectral_search.spec.faults import Fault
from spectral_search.spec.spelling import nearest
from spectral_search.spec.yaml_io import FlowMap, show

DomainKind = Literal["uniform", "log_uniform", "int", "log_int", "choice"]
_KINDS = ("uniform", "log_uniform", "int", "log_int", "choice")
_FORMS = (
    "write {uniform: [low, high]}, {log_uniform: [low, high]}, {int: [low, high]}, {log_int: [low, high]} "
    "or {choice: [...]}"
)


class Domain(Section):
    """The values a search may give one key.

    Attributes:
        kind: uniform and log_uniform draw numbers, int and log_int whole numbers, both ends included; choice draws
            from a list. A range of one point is read as a choice of one.
        low: Lower end of a range, None for a choice.
        high: Upper end of a range, None for a choice.
        choices: The list of a choice (numbers, text, booleans, or lists such as layer widths), None for a range.
        when: Dotted key -> values of it under which this one is searched; otherwise the key keeps its base value.
    """

    kind: DomainKind
    low: int | float | None = None
    high: int | float | None = None
    choices: list[Any] | None = None
    when: dict[str, list[Any]] | None = None

    @property
    def is_log(self) -> bool:
        """Whether the range is drawn on a logarithmic scale."""
        return self.kind.startswith("log_")

    @property
    def is_int(self) -> bool:
        """Whether the range holds whole numbers only."""
        return self.kind in ("int", "log_int")

    def contains(self, value: Any) -> bool:
        """Whether a search over this domain could propose a value."""
        if self.choices is not None:
            return same_key(value) in {same_key(choice) for choice in self.choices}
        # To Python true is a whole number too.
        if isinstance(value, bool) or not isinstance(value, int | float) or self.low is None or self.high is None:
            return False
        return self.low <= value <= self.high and (not self.is_int or float(value).is_integer())

    def probes(self) -> list[Any]:
        """Values whose validity stands for the whole domain: every choice, or a range's ends and an odd step inside."""
        if self.choices is not None:
            return list(self.choices)
        inside = [self.low + 1] if self.is_int and self.low is not None and self.low + 1 != self.high else []
        return [self.low, *inside, self.high]

    def to_yaml(self) -> dict[str, Any]:
        """The domain as a spec writes it."""
        values = list(self.choices) if self.choices is not None else [self.low, self.high]
        written = FlowMap({self.kind: values})
        if self.when is not None:
            written["when"] = FlowMap({key: list(values) for key, values in self.when.items()})
        return written


def same_key(value: Any) -> str:
    """A key that is equal for equal values: 1 and 1.0 are the same, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, list | tuple):
        return "[" + ",".join(same_key(item) for item in value) + "]"
    return json.dumps(value, default=str)


def duplicates(values: list[Any]) -> list[Any]:
    """The values that occur more than once, each named once."""
    seen: set[str] = set()
    twice: dict[str, Any] = {}
    for value in values:
        key = same_key(value)
        if key in seen:
            twice.setdefault(key, value)
        seen.add(key)
    return list(twice.values())


def parse_domain(key: str, raw: Any) -> tuple[Domain | None, list[Fault]]:
    """Reads one entry of `space`.

    Args:
        key: The entry's dotted key with its section, such as "space.fit.lr".
        raw: What the spec gives for it.

    Returns:
        The domain, or None and every fault in it.
    """
    if isinstance(raw, Domain):
        return raw, []
    if not isinstance(raw, dict):
        return None, [Fault(key, f"{key} must be a domain, found {show(raw)}; {_FORMS}")]
    kinds = [name for name in raw if name in _KINDS]
    faults = [_unknown_part(key, name) for name in raw if name not in (*_KINDS, "when")]
    if len(kinds) != 1:
        found = f"both {' and '.join(kinds)}" if kinds else f"none in {show(raw)}"
        if kinds or not faults:
            faults.append(Fault(key, f"{key} must hold exactly one domain, found {found}; {_FORMS}"))
        return None, faults
    kind = kinds[0]
    when, when_faults = _parse_when(key, raw.get("when"))
    faults += when_faults + (_choice_faults if kind == "choice" else _range_faults)(f"{key}.{kind}", kind, raw[kind])
    if faults:
        return None, faults
    if kind == "choice":
        return Domain(kind="choice", choices=list(raw[kind]), when=when), []
    low, high = raw[kind] if kind in ("int", "log_int") else map(float, raw[kind])
    if low == high:
        # A range of one point, such as a script writes that narrows a search: that value, wherever points are counted.
        return Domain(kind="choice", choices=[low], when=when), []
    return Domain.model_validate({"kind": kind, "low": low, "high": high, "when": when}), []


def _unknown_part(key: str, name: str) -> Fault:
    spelling = nearest(name, (*_KINDS, "when"))
    return Fault(key, f"{key}.{name} does not exist; " + (f"did you mean {spelling}?" if spelling else _FORMS))


def _choice_faults(key: str, kind: str, values: Any) -> list[Fault]:
    if not isinstance(values, list):
        return [Fault(key, f"{key} must be a list of values, found {show(values)}; write [{values}]")]
    if not values:
        return [Fault(key, f"{key} is empty; list at least one value")]
    twice = duplicates(values)
    return (
        [Fault(key, f"{key} holds {', '.join(map(show, twice))} more than once; list each value once")] if twice else []
    )


def _range_faults(key: str, kind: str, values: Any) -> list[Fault]:
    if not isinstance(values, list) or len(values) != 2:
        return [Fault(key, f"{key} must be a range [low, high], found {show(values)}")]
    if not all(_is_finite_number(end) for end in values):
        return [Fault(key, f"{key} must have two finite numbers as its ends, found {show(values)}")]
    low, high = values
    faults = []
    if kind in ("int", "log_int") and any(isinstance(end, float) for end in values):
        faults.append(Fault(key, f"{key} must have whole numbers as its ends, found {show(values)}"))
    if low > high:
        faults.append(Fault(key, f"{key} is reversed, found {show(values)}; write [{show(high)}, {show(low)}]"))
    if kind.startswith("log_") and min(low, high) <= 0:
        plain = kind.removeprefix("log_")
        text = f"{key} must start above 0, as a logarithmic range does, found {show(values)}; raise it, or use {plain}"
        faults.append(Fault(key, text))
    return faults


def _is_finite_number(value: Any) -> bool:
    # Compared rather than passed to math.isfinite, which cannot take a whole number beyond any float.
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def _parse_when(key: str, raw: Any) -> tuple[dict[str, list[Any]] | None, list[Fault]]:
    """Reads a condition; a single value stands for a list of one."""
    if raw is None:
        return None, []
    if not isinstance(raw, dict) or not raw:
        text = f"{key}.when must give the values of another key, as in {{model.kind: cnn}}, found {show(raw)}"
        return None, [Fault(f"{key}.when", text)]
    empty = [name for name, values in raw.items() if values == []]
    if empty:
        return None, [Fault(f"{key}.when", f"{key}.when.{empty[0]} is empty; list at least one value")]
    return {name: list(values) if isinstance(values, list) else [values] for name, values in raw.items()}, []
