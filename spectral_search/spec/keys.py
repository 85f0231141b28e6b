"""The dotted keys a spec may hold, what each allows in plain words, and the nearest spelling of a wrong one."""

import functools
import inspect
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeGuard, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from spectral_search.spec.base import Section
from spectral_search.spec.data_section import DataSection
from spectral_search.spec.families import families
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.gate import GateSpec
from spectral_search.spec.name_registry import Registry
from spectral_search.spec.search import InheritSpec, ResourcesSpec, SearchSpec
from spectral_search.spec.spelling import nearest
from spectral_search.spec.task_modules import DEFAULT_TASK, data_section

_SECTIONS: dict[str, type[Section]] = {
    "fit": FitSpec,
    "search": SearchSpec,
    "resources": ResourcesSpec,
    "inherit": InheritSpec,
    "gate": GateSpec,
}
TOP_KEYS = (
    *("stage", "description", "task", "data", "model", "fit", "space", "grid"),
    *("search", "resources", "inherit", "gate", "provenance"),
)
SEARCHED_SECTIONS = ("data.input", "model", "fit")
# What people write for a key when they come from other tools; difflib cannot bridge these.
_SYNONYMS = {
    **{
        "learning_rate": "lr",
        "wd": "weight_decay",
        "max_epochs": "epochs",
        "clip": "grad_clip",
        "scheduler": "schedule",
    },
    **{"early_stopping": "patience", "max_lr": "lr", "kernel": "kernel_size", "layers": "hidden", "units": "hidden"},
    **{"hidden_sizes": "hidden", "batchnorm": "norm", "batch_norm": "norm", "amp": "precision", "type": "kind"},
    **{
        "n_trials": "trials",
        "num_samples": "trials",
        "noise": "noise_level",
        "path": "root",
        "scheduler_asha": "pruner",
    },
}


@functools.cache
def section_leaves(cls: type[Section], prefix: str) -> dict[str, FieldInfo]:
    """Dotted key -> field of every leaf of a section, nested sections included."""
    leaves: dict[str, FieldInfo] = {}
    for name, info in cls.model_fields.items():
        # inherit.from has an alias, since `from` is a word of Python's own.
        key = f"{prefix}.{info.alias or name}"
        if inspect.isclass(info.annotation) and issubclass(info.annotation, Section):
            leaves |= section_leaves(info.annotation, key)
        else:
            leaves[key] = info
    return leaves


def trial_leaves(kind: str, data: type[DataSection] | None = None) -> dict[str, FieldInfo]:
    """Dotted key -> field of everything one trial of this model kind may set: data, model and fit.

    Args:
        kind: The kind.
        data: Class of the data section; that of the default task where absent.
    """
    return _trial_leaves(kind, data or data_section(DEFAULT_TASK))


@functools.cache
def _trial_leaves(kind: str, data: type[DataSection]) -> dict[str, FieldInfo]:
    section: type[Section] = families()[kind].section
    model = section_leaves(section, "model")
    return {**section_leaves(data, "data"), **model, **section_leaves(FitSpec, "fit")}


def all_leaves(data: type[DataSection] | None = None) -> dict[str, FieldInfo]:
    """Dotted key -> field over every section and every model kind (the first kind's field where kinds share a key)."""
    return _all_leaves(data or data_section(DEFAULT_TASK))


@functools.cache
def _all_leaves(data: type[DataSection]) -> dict[str, FieldInfo]:
    leaves: dict[str, FieldInfo] = {}
    # Backwards, so that the first kind's field is what stays.
    for kind in reversed(list(families())):
        leaves |= trial_leaves(kind, data)
    for name in ("search", "resources", "inherit", "gate"):
        leaves |= section_leaves(_SECTIONS[name], name)
    return leaves


def kinds_with(key: str, data: type[DataSection] | None = None) -> list[str]:
    """The model kinds that know a key: all of them for a key outside the model section, none for an unknown key."""
    return [kind for kind in families() if is_trial_key(key, kind, data)]


def is_trial_key(key: str, kind: str, data: type[DataSection] | None = None) -> bool:
    """Whether a trial of this model kind may set a key, or one of an item of a list, such as fit.groups.0.lr_factor."""
    leaves, (parent, place, last) = trial_leaves(kind, data), _parts_of_item(key)
    return key in leaves or (place and last != "" and parent in leaves and item_section(leaves[parent]) is not None)


def _parts_of_item(key: str) -> tuple[str, bool, str]:
    """The list's key, whether a place in it follows, and the item's own key."""
    rest, _, last = key.rpartition(".")
    parent, _, place = rest.rpartition(".")
    return parent, place.isdecimal(), last


def item_section(info: FieldInfo) -> type[Section] | None:
    """The class of a list's items where these are sections."""
    item = next(iter(get_args(info.annotation)), None) if get_origin(info.annotation) is list else None
    while get_origin(item) is Annotated:
        item = get_args(item)[0]
    return item if inspect.isclass(item) and issubclass(item, Section) else None


def is_kind(value: Any) -> TypeGuard[str]:
    """Whether a value, which may be anything a YAML file holds, is the name of a model kind."""
    return isinstance(value, str) and value in families()


def is_searched_section(key: str) -> bool:
    """Whether a key lies where a space or a grid may reach."""
    return any(key.startswith(f"{section}.") for section in SEARCHED_SECTIONS)


def nearest_key(key: str, options: Iterable[str]) -> str | None:
    """The dotted key nearest to a wrong one: same section first, then the same last word anywhere."""
    known = list(options)
    parent, _, last = key.rpartition(".")
    siblings = {option.rpartition(".")[2]: option for option in known if option.rpartition(".")[0] == parent}
    word = _SYNONYMS.get(last.lower(), last)
    if word in siblings:
        return siblings[word]
    found = nearest(last, siblings)
    if found is not None:
        return siblings[found]
    by_word: dict[str, str] = {}
    for option in known:
        by_word.setdefault(option.rpartition(".")[2], option)
    found = nearest(word, by_word)
    return by_word[found] if found is not None else None


def allowed(info: FieldInfo) -> str:
    """What a field allows, in words."""
    return _words(info.annotation, info.metadata)


def texts(info: FieldInfo) -> list[str]:
    """Every text that a field takes as it stands, such as 'relu' or 'auto'."""
    return _literals(info.annotation, info.metadata)


def _literals(annotation: Any, metadata: Iterable[Any] = ()) -> list[str]:
    """Those of a type, with what is said of it."""
    if named := [name for rule in metadata if isinstance(rule, Registry) for name in rule.names]:
        return named
    if get_origin(annotation) is Literal:
        return [value for value in get_args(annotation) if isinstance(value, str)]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [text for part in get_args(annotation) for text in _literals(part)]
    return []


def takes(annotation: Any, kind: type) -> bool:
    """Whether a field takes values of a plain type (int, float, bool, list), alone or among others."""
    if annotation is kind or get_origin(annotation) is kind:
        return True
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return any(takes(part, kind) for part in get_args(annotation))
    return False


def _words(annotation: Any, metadata: list[Any]) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *extra = get_args(annotation)
        inner = [item for part in extra for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _words(base, [*inner, *metadata])
    named = _literals(annotation, metadata) if any(isinstance(item, Registry) for item in metadata) else []
    if origin is Literal or named:
        values = named or [str(value) for value in get_args(annotation)]
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        words = [_words(part, metadata) for part in parts]
        return " or ".join([*words, "null"] if len(parts) < len(get_args(annotation)) else words)
    if origin is list:
        item = _words(get_args(annotation)[0], [])
        return f"a list of {_lengths(metadata)}values, each {item}"
    return _scalar_words(annotation, metadata)


def _lengths(metadata: list[Any]) -> str:
    least = next((rule.min_length for rule in metadata if isinstance(rule, annotated_types.MinLen)), 0)
    most = next((rule.max_length for rule in metadata if isinstance(rule, annotated_types.MaxLen)), None)
    if most is None:
        return f"{least} or more " if least else ""
    return f"{least} to {most} " if least else f"at most {most} "


def _scalar_words(annotation: Any, metadata: list[Any]) -> str:
    if annotation is bool:
        return "true or false"
    if annotation is str:
        return "text"
    if annotation in (int, float):
        return ("a whole number" if annotation is int else "a number") + _bounds(metadata)
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return "a section with the keys " + ", ".join(annotation.model_fields)
    return "a mapping"


def _bounds(metadata: list[Any]) -> str:
    low, high = "", ""
    for rule in metadata:
        if isinstance(rule, annotated_types.Ge):
            low = f"of at least {rule.ge:g}"
        elif isinstance(rule, annotated_types.Gt):
            low = f"above {rule.gt:g}"
        elif isinstance(rule, annotated_types.Le):
            high = f"at most {rule.le:.10g}"
        elif isinstance(rule, annotated_types.Lt):
            high = f"below {rule.lt:.10g}"
    words = " and ".join(part for part in (low, high) if part)
    return f" {words}" if words else ""
