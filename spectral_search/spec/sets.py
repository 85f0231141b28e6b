"""Overrides: `--set fit.lr=1e-3` and what it takes away from space, grid and inherit."""

from collections.abc import Iterable, Mapping
from typing import Any

from spectral_search.errors import RequestError
from spectral_search.spec.domain import same_key
from spectral_search.spec.families import family_of
from spectral_search.spec.faults import Fault
from spectral_search.spec.keys import all_leaves, is_kind, kinds_with, trial_leaves
from spectral_search.spec.trial import change_kind, put, section_of
from spectral_search.spec.yaml_io import parse_yaml, show

_KEYED = ("space", "grid")  # below these, the rest of the dotted path is one key
_WHOLE = ("data", "data.input", "model", "fit")


def parse_set(text: str) -> tuple[str, Any]:
    """Reads one `KEY=VALUE`, the value as YAML: `fit.lr=1e-3`, `space.fit.lr={log_uniform: [1e-4, 1e-2]}`.

    Raises:
        RequestError: There is no key or no `=`, or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key or key.startswith(".") or key.endswith(".") or ".." in key:
        raise RequestError(f"--set takes KEY=VALUE, such as fit.lr=1e-3, found {show(text)}")
    document = parse_yaml(value, f"the value of --set {key}")
    if document.faults:
        raise RequestError(*(f"--set {key}: {sentence}" for _, sentence in document.faults))
    return key, document.value


def apply_sets(raw: dict[str, Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """Puts overrides into a spec's plain values.

    A plain value fixes its key: the key leaves space, grid and inherit, and domains that its value rules out go too.
    `space.KEY` or `grid.KEY` replaces a domain or a list, and null removes it. A new model.kind keeps what both kinds
    share and drops the rest. The task may let other keys of the data section give way to what is asked for.

    Args:
        raw: The spec as read; left unchanged.
        values: Dotted key -> new value.

    Returns:
        The new plain values and the overrides that could not be put anywhere.
    """
    new = _copy(raw)
    faults: list[Fault] = []
    # The kind decides which other keys exist, so it goes first whatever the order on the command line.
    for key in sorted(values, key=lambda key: key != "model.kind"):
        # A later override may write below this value, which is the caller's.
        value = _copy(values[key])
        section, _, rest = key.partition(".")
        if section in _KEYED and rest:
            faults += _set_keyed(new, section, rest, value)
            _leave_inherit(new, [rest])
        elif key == "model.kind":
            _set_kind(new, value)
        else:
            faults += put(new, key, value)
            data = section_of(new)[0]
            if key in all_leaves(data) or key in _WHOLE or kinds_with(key, data):
                _fix(new, key, value)
    if isinstance(new.get("data"), dict):
        section_of(new)[0].asked_for(new["data"], values)
    return new, faults


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(item) for name, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _set_keyed(raw: dict[str, Any], section: str, key: str, value: Any) -> list[Fault]:
    if raw.get(section) is None:
        raw[section] = {}
    parts = raw[section] if isinstance(raw[section], list) else [raw[section]]
    if not all(isinstance(part, dict) for part in parts):
        return []  # the section itself is at fault, which validation says
    holders = [part for part in parts if key in part] or parts
    for part in holders:
        if value is None:
            part.pop(key, None)
        else:
            part[key] = value
    return []


def _set_kind(raw: dict[str, Any], kind: Any) -> None:
    model = raw.get("model")
    if isinstance(model, dict) and is_kind(kind) and model.get("kind") != kind:
        raw["model"] = change_kind(model, kind)
    else:
        put(raw, "model.kind", kind)
    _fix(raw, "model.kind", kind)
    if not is_kind(kind):
        return
    data, _ = section_of(raw)
    if family_of(kind).needs_neighbours and isinstance(raw.get("data"), dict):
        data.beside_neighbours(raw["data"])
    gone = [key for key in _varied(raw) if kinds_with(key, data) and key not in trial_leaves(kind, data)]
    for key in gone:
        _drop(raw, key)


def _varied(raw: Mapping[str, Any]) -> list[str]:
    """Every key that space, grid or inherit names."""
    grid = raw.get("grid")
    inherit = raw.get("inherit")
    keys = inherit.get("keys") if isinstance(inherit, dict) else None
    parts: Iterable[Any] = [raw.get("space"), keys, *(grid if isinstance(grid, list) else [grid])]
    return list(
        dict.fromkeys(key for part in parts if isinstance(part, dict | list) for key in part if isinstance(key, str))
    )


def _fix(raw: dict[str, Any], key: str, value: Any) -> None:
    """Takes a key (or, for a whole section, every key below it) out of space, grid and inherit."""
    below = [name for name in _varied(raw) if name == key or name.startswith(f"{key}.")]
    for name in below:
        _drop(raw, name)
    space = raw.get("space")
    if not isinstance(space, dict):
        return
    for name, domain in list(space.items()):
        when = domain.get("when") if isinstance(domain, dict) else None
        if not isinstance(when, dict) or key not in when:
            continue
        wanted = when[key] if isinstance(when[key], list) else [when[key]]
        if same_key(value) not in {same_key(item) for item in wanted}:
            del space[name]


def _drop(raw: dict[str, Any], key: str) -> None:
    grid = raw.get("grid")
    for part in (raw.get("space"), *(grid if isinstance(grid, list) else [grid])):
        if isinstance(part, dict):
            part.pop(key, None)
    _leave_inherit(raw, [key])


def _leave_inherit(raw: dict[str, Any], keys: list[str]) -> None:
    inherit = raw.get("inherit")
    if not isinstance(inherit, dict) or not isinstance(inherit.get("keys"), list):
        return
    before = inherit["keys"]
    inherit["keys"] = [key for key in before if key not in keys]
    # A list that was empty from the start stays, for validation to refuse.
    if before and not inherit["keys"]:
        raw["inherit"] = None
