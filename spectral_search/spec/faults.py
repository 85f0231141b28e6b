"""Faults of a spec: pydantic's errors as plain sentences, one for each key."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from spectral_search.spec.base import Section
from spectral_search.spec.keys import allowed, item_section, kinds_with, nearest_key, takes, texts
from spectral_search.spec.spelling import nearest
from spectral_search.spec.yaml_io import plain_scalar, show

S = TypeVar("S", bound=Section)


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a spec.

    Attributes:
        key: The dotted key it is about, empty for the file as a whole.
        text: The sentence, without its final full stop.
        linked: The keys that are wrong only together; empty when the value alone is wrong.
    """

    key: str
    text: str
    linked: tuple[str, ...] = ()


def section_faults(error: ValidationError, cls: type[Section], prefix: str, raw: dict[str, Any]) -> list[Fault]:
    """Translates what pydantic found in one section.

    Args:
        error: What validating `raw` as `cls` raised.
        cls: The section's class.
        prefix: The section's dotted key, such as "fit".
        raw: The section as given.
    """
    faults: dict[str, Fault] = {}
    for detail in error.errors(include_url=False):
        key, info, value, owner = _follow(detail["loc"], cls, prefix, raw)
        if detail["type"] == "extra_forbidden":
            fault = unknown_key(key, _known_keys(owner, key.rpartition(".")[0]))
        elif detail["type"] == "linked":
            context = detail["ctx"]
            # What is wrong between sections has no key of its own and names those that it is about.
            fault = Fault(key, f"{key}: {context['message']}".removeprefix(": "), tuple(context["keys"]))
        elif detail["type"] == "missing" and info is not None:
            fault = Fault(key, f"{key} is missing; it must be {allowed(info)}")
        elif detail["type"] == "value_error":
            fault = Fault(key, f"{key}: {detail['ctx']['error']}")
        else:
            fault = _wrong_value(key, value, info)
        # Pydantic tells of each arm of a union; for one key the first is enough.
        faults.setdefault(key if not fault.linked else fault.text, fault)
    return list(faults.values())


def _follow(
    loc: tuple[int | str, ...], cls: type[Section], prefix: str, raw: Any
) -> tuple[str, FieldInfo | None, Any, type[Section]]:
    """Walks pydantic's location down to a field: its dotted key, field, value as given, and owning section.

    Parts of the location below a field (the index of a value in a list, the arm of a union) are dropped: the sentence
    is about the whole value, which is what the user wrote on that line.
    """
    key, info, value = prefix, None, raw
    for part in loc:
        item = item_section(info) if info is not None and isinstance(part, int) else None
        if item is not None and isinstance(part, int) and isinstance(value, list):
            key, info, value = f"{key}.{part}", None, value[part]
            cls = item.of(value)
            continue
        by_name = {field.alias or name: field for name, field in cls.model_fields.items()}
        key = f"{key}.{part}" if key else str(part)
        value = value.get(part) if isinstance(value, dict) else None
        info = by_name.get(str(part))
        if info is not None and inspect.isclass(info.annotation) and issubclass(info.annotation, Section):
            cls = info.annotation
        elif info is None or item_section(info) is None:
            break
    return key, info, value, cls


def _known_keys(cls: type[Section], prefix: str) -> list[str]:
    names = [info.alias or name for name, info in cls.model_fields.items()]
    return [f"{prefix}.{name}" if prefix else name for name in names]


def _wrong_value(key: str, value: Any, info: FieldInfo | None) -> Fault:
    """The sentence for a value of the wrong type or out of bounds."""
    if info is None:
        return Fault(key, f"{key} is {show(value)}, which is not a section of keys")
    hint = _hint(value, info)
    return Fault(key, f"{key} must be {allowed(info)}, found {show(value)}" + (f"; {hint}" if hint else ""))


def _hint(value: Any, info: FieldInfo) -> str | None:
    annotation = info.annotation
    if isinstance(value, str):
        spelling = nearest(value, texts(info))
        if spelling is not None:
            return f"did you mean {spelling}?"
        word = value.lower()
        if takes(annotation, bool) and word in ("yes", "on", "y", "no", "off", "n"):
            return f"write {'true' if word in ('yes', 'on', 'y') else 'false'}"
        number = plain_scalar(value)
        if isinstance(number, int | float) and (takes(annotation, float) or takes(annotation, int)):
            return "write it without quotes"
    # The bound is below 2**53, beyond which a float is no certain whole number.
    if isinstance(value, float) and value.is_integer() and takes(annotation, int) and abs(value) < 1e15:
        return f"write {int(value)}"
    if isinstance(value, int | str) and not isinstance(value, bool) and takes(annotation, list):
        return f"write [{value}]"
    return None


def unknown_key(key: str, siblings: Iterable[str], elsewhere: Iterable[str] = ()) -> Fault:
    """The sentence for a key that does not exist.

    Args:
        key: The dotted key as given.
        siblings: The dotted keys that exist beside it.
        elsewhere: Further dotted keys, worth offering when none beside it is near.
    """
    parent = key.rpartition(".")[0]
    known = list(siblings)
    foreign = kinds_with(key) if key.startswith("model.") else []
    if foreign:
        return Fault(key, f"{key} does not exist for this kind of model, only for {', '.join(foreign)}")
    spelling = nearest_key(key, [*known, *elsewhere])
    names = ", ".join(option.removeprefix(f"{parent}.") if parent else option for option in known)
    hint = f"did you mean {spelling}?" if spelling else f"there {'are' if len(known) > 1 else 'is'} {names}"
    return Fault(key, f"{key} does not exist; {hint}" + (f" ({parent or 'a spec'} has {names})" if spelling else ""))


def build_section(cls: type[S], prefix: str, raw: Any) -> tuple[S | None, list[Fault]]:
    """Validates one section: the section, or every fault in it."""
    if isinstance(raw, Section):
        raw = raw.model_dump(by_alias=True)
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        return None, [Fault(prefix, f"{prefix} must be a section of keys and values, found {show(raw)}")]
    try:
        return cls.model_validate(raw), []
    except ValidationError as error:
        return None, section_faults(error, cls, prefix, raw)
