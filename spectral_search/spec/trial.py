"""What one trial trains: data, model and fit, with the values of a proposal put in."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, model_validator

from spectral_search.errors import RequestError
from spectral_search.spec.base import Section
from spectral_search.spec.data_section import DataSection
from spectral_search.spec.families import ModelSpec, families
from spectral_search.spec.faults import Fault, build_section, section_faults, unknown_key
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.keys import all_leaves, is_kind, is_trial_key, kinds_with, trial_leaves
from spectral_search.spec.spelling import nearest
from spectral_search.spec.task_modules import DEFAULT_TASK, data_section
from spectral_search.spec.yaml_io import show


class TrialConfig(Section):
    """Everything that decides what one trial computes; nothing here is searched any more.

    Attributes:
        data: The task's `DataSection`.
        model: The section of a family of networks.
        fit: The recipe.
    """

    data: Any
    model: ModelSpec
    fit: FitSpec = Field(default_factory=FitSpec)

    @model_validator(mode="after")
    def _data_and_model_go_together(self) -> "TrialConfig":
        self.data.check_beside(self.model)
        return self

    def value(self, key: str) -> Any:
        """The value of a dotted key, such as "fit.lr".

        Raises:
            KeyError: The key does not exist for this kind of model.
        """
        node: Any = self
        for name in key.split("."):
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
                continue
            if not isinstance(node, Section) or name not in type(node).model_fields:
                raise KeyError(key)
            node = getattr(node, name)
        return node

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every default included."""
        return self.model_dump()


def _build_model(raw: Any) -> tuple[Section | None, list[Fault]]:
    """Validates a model section by its kind: the section, or every fault in it."""
    if isinstance(raw, Section):
        raw = raw.model_dump()
    if not isinstance(raw, dict):
        return None, [Fault("model", f"model must be a section of keys and values with a kind, found {show(raw)}")]
    kinds = f"one of {', '.join(families())}"
    if "kind" not in raw:
        return None, [Fault("model", f"model.kind is missing; it must be {kinds}")]
    kind = raw["kind"]
    if not is_kind(kind):
        spelling = nearest(str(kind), families())
        hint = f"; did you mean {spelling}?" if spelling else ""
        return None, [Fault("model.kind", f"model.kind must be {kinds}, found {show(kind)}{hint}")]
    return build_section(families()[kind].section, "model", raw)


def section_of(raw: Mapping[str, Any]) -> tuple[type[DataSection], list[Fault]]:
    """The class of a spec's data section, by its task; that of the default one, and a fault, where there is none."""
    task = raw.get("task") or DEFAULT_TASK
    try:
        return data_section(str(task)), []
    except RequestError as error:
        # With some section the other faults of the spec can be told along with this one.
        return data_section(DEFAULT_TASK), [Fault("task", f"task: {fault}") for fault in error.faults]


def build_trial(
    raw: dict[str, Any], section: type[DataSection] | None = None
) -> tuple[TrialConfig | None, list[Fault]]:
    """Validates data, model and fit together: the configuration, or every fault in it.

    Args:
        raw: Plain values.
        section: Class of the data section; that of the task that is named where absent.
    """
    section, task_faults = (section, []) if section is not None else section_of(raw)
    data, data_faults = build_section(section, "data", raw.get("data"))
    model, model_faults = _build_model(raw.get("model"))
    fit, fit_faults = build_section(FitSpec, "fit", raw.get("fit"))
    faults = [*task_faults, *data_faults, *model_faults, *fit_faults]
    if faults:
        return None, faults
    try:
        return TrialConfig.model_validate({"data": data, "model": model, "fit": fit}), []
    except ValidationError as error:
        return None, section_faults(error, TrialConfig, "", raw)


def change_kind(model: dict[str, Any], kind: str) -> dict[str, Any]:
    """Carries a model section over to another kind of network.

    What was set away from the old kind's default, and is possible in the new one, is kept; everything else becomes the
    new kind's default. Judging by value, not by who wrote it, makes a stored spec (every default spelt out) and its
    origin mean the same.
    """
    before = model.get("kind")
    if not is_kind(before):
        return {"kind": kind}
    old, new = families()[before].section, families()[kind].section
    defaults = {name: info.get_default(call_default_factory=True) for name, info in old.model_fields.items()}
    kept = {"kind": kind}
    for name, value in model.items():
        changed = name != "kind" and name in new.model_fields and value != defaults.get(name)
        if changed and not build_section(new, "model", {"kind": kind, name: value})[1]:
            kept[name] = value
    return kept


def apply_params(base: TrialConfig, params: dict[str, Any]) -> tuple[TrialConfig | None, list[Fault]]:
    """Puts the values of a proposal into a configuration.

    Args:
        base: The configuration that holds everything the proposal leaves open.
        params: Dotted key -> value. Where it changes model.kind, keys of other kinds are dropped.

    Returns:
        The new configuration, or None and every fault.
    """
    raw = base.to_dict()
    section = type(base.data)
    kind = params.get("model.kind", base.model.kind)
    if is_kind(kind) and kind != base.model.kind:
        raw["model"] = change_kind(raw["model"], kind)
    known = kind if is_kind(kind) else base.model.kind
    faults: list[Fault] = []
    for key, value in params.items():
        if is_trial_key(key, known, section):
            faults += put(raw, key, value)
        elif "model.kind" not in params or not kinds_with(key, section):
            faults.append(unknown_trial_key(key, kind, section))
    if faults:
        return None, faults
    return build_trial(raw, section)


def put(raw: Any, key: str, value: Any) -> list[Fault]:
    """Puts a value at a dotted key into plain values, lists and sections that are not there yet included.

    Returns:
        What is in the way, if anything.
    """
    *parents, last = key.split(".")
    node = raw
    for depth, name in enumerate(parents):
        place = ".".join(parents[:depth])
        if isinstance(node, list):
            if not name.isdecimal() or int(name) >= len(node):
                there = f"{len(node)} item{'s' * (len(node) != 1)}, counted from 0"
                return [Fault(key, f"{key} does not exist, because {place} has {there}")]
            node = node[int(name)]
            continue
        if not isinstance(node, dict):
            return [Fault(key, f"{key} does not exist, because {place} is a single value, {show(node)}")]
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
    if not isinstance(node, dict):
        place = ".".join(parents)
        return [Fault(key, f"{key} does not exist, because {place} is a single value, {show(node)}")]
    node[last] = value
    return []


def unknown_trial_key(key: str, kind: str | None, data: type[DataSection]) -> Fault:
    """The sentence for a key that a trial of this model kind does not have."""
    known = trial_leaves(kind, data) if is_kind(kind) else all_leaves(data)
    parent = key.rpartition(".")[0]
    siblings = [option for option in known if option.rpartition(".")[0] == parent]
    return unknown_key(key, siblings, known)
