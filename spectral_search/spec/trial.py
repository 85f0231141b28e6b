"""What one trial trains: data, model and fit, with the values of a proposal put in."""

from typing import Any

from pydantic import Field, ValidationError, model_validator

from spectral_search.spec.base import Section, linked_fault
from spectral_search.spec.data import SUBSPACE_INPUTS, DataSpec
from spectral_search.spec.faults import Fault, build_section, section_faults, unknown_key
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.keys import MODEL_KINDS, all_leaves, is_kind, is_trial_key, kinds_with, nearest, trial_leaves
from spectral_search.spec.model import ModelSpec
from spectral_search.spec.yaml_io import show


class TrialConfig(Section):
    """Everything that decides what one trial computes; nothing here is searched any more."""

    data: DataSpec = Field(default_factory=DataSpec)
    model: ModelSpec
    fit: FitSpec = Field(default_factory=FitSpec)

    @model_validator(mode="after")
    def _top_pixels_need_mlp(self) -> "TrialConfig":
        if self.data.input.top_pixels is not None and self.model.kind != "mlp":
            message = f"data.input.top_pixels leaves no neighbouring pixels for a {self.model.kind}; use an mlp or null"
            raise linked_fault(message, "data.input.top_pixels", "model.kind")
        return self

    @model_validator(mode="after")
    def _signal_needs_mlp(self) -> "TrialConfig":
        given = self.data.input
        if given.kind == "signal" and self.model.kind != "mlp":
            message = (
                f"data.input.kind signal has no neighbouring pixels, which a {self.model.kind} needs; use denoised, "
                "or an mlp"
            )
            raise linked_fault(message, "data.input.kind", "model.kind")
        if given.kind in SUBSPACE_INPUTS and given.top_pixels is not None:
            message = (
                f"data.input.top_pixels chooses among pixels, and {given.kind} has components; use null, or "
                "data.input.kind standardize"
            )
            raise linked_fault(message, "data.input.top_pixels", "data.input.kind")
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


def build_model(raw: Any) -> tuple[Section | None, list[Fault]]:
    """Validates a model section by its kind: the section, or every fault in it."""
    if isinstance(raw, Section):
        raw = raw.model_dump()
    if not isinstance(raw, dict):
        return None, [Fault("model", f"model must be a section of keys and values with a kind, found {show(raw)}")]
    kinds = f"one of {', '.join(MODEL_KINDS)}"
    if "kind" not in raw:
        return None, [Fault("model", f"model.kind is missing; it must be {kinds}")]
    kind = raw["kind"]
    if not is_kind(kind):
        spelling = nearest(str(kind), MODEL_KINDS)
        hint = f"; did you mean {spelling}?" if spelling else ""
        return None, [Fault("model.kind", f"model.kind must be {kinds}, found {show(kind)}{hint}")]
    return build_section(MODEL_KINDS[kind], "model", raw)


def build_trial(raw: dict[str, Any]) -> tuple[TrialConfig | None, list[Fault]]:
    """Validates data, model and fit together: the configuration, or every fault in it."""
    data, data_faults = build_section(DataSpec, "data", raw.get("data"))
    model, model_faults = build_model(raw.get("model"))
    fit, fit_faults = build_section(FitSpec, "fit", raw.get("fit"))
    faults = [*data_faults, *model_faults, *fit_faults]
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
    old, new = MODEL_KINDS.get(str(model.get("kind"))), MODEL_KINDS[kind]
    if old is None:
        return {"kind": kind}
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
    kind = params.get("model.kind", base.model.kind)
    if is_kind(kind) and kind != base.model.kind:
        raw["model"] = change_kind(raw["model"], kind)
    known = kind if is_kind(kind) else base.model.kind
    faults: list[Fault] = []
    for key, value in params.items():
        if is_trial_key(key, known):
            faults += put(raw, key, value)
        elif "model.kind" not in params or not kinds_with(key):
            faults.append(unknown_trial_key(key, kind))
    if faults:
        return None, faults
    return build_trial(raw)


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


def unknown_trial_key(key: str, kind: str | None) -> Fault:
    """The sentence for a key that a trial of this model kind does not have."""
    known = trial_leaves(kind) if is_kind(kind) else all_leaves()
    parent = key.rpartition(".")[0]
    siblings = [option for option in known if option.rpartition(".")[0] == parent]
    return unknown_key(key, siblings, known)
