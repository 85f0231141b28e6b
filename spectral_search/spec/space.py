"""The `space` section: which keys a search may vary, under which conditions, and whether every value is possible."""

import itertools
from collections.abc import Iterator
from typing import Any

from spectral_search.spec.data_section import DataSection
from spectral_search.spec.domain import Domain, parse_domain, same_key
from spectral_search.spec.families import families
from spectral_search.spec.faults import Fault
from spectral_search.spec.keys import (
    SEARCHED_SECTIONS,
    all_leaves,
    is_searched_section,
    is_trial_key,
    kinds_with,
    takes,
)
from spectral_search.spec.task_modules import DEFAULT_TASK, data_section
from spectral_search.spec.trial import TrialConfig, apply_params, unknown_trial_key
from spectral_search.spec.yaml_io import show

Space = dict[str, Domain]
_MISSING = object()


def parse_space(raw: Any) -> tuple[Space, list[Fault]]:
    """Reads every domain of a space, without looking at the keys' meaning."""
    if raw is None:
        return {}, []
    if not isinstance(raw, dict):
        return {}, [Fault("space", f"space must give each searched key a domain, found {show(raw)}")]
    space: Space = {}
    faults: list[Fault] = []
    for key, entry in raw.items():
        domain, found = parse_domain(f"space.{key}", entry)
        faults += found
        if domain is not None:
            space[key] = domain
    return space, faults


def key_fault(section: str, key: str, kinds: list[str], data: type[DataSection] | None = None) -> Fault | None:
    """What is wrong with a key of space, grid or inherit as such, if anything.

    Args:
        section: "space", "grid" or "inherit".
        key: The dotted key.
        kinds: The model kinds that can occur; empty when they are not known.
        data: Class of the data section; that of the default task where absent.
    """
    data = data or data_section(DEFAULT_TASK)
    if key in all_leaves(data) and not is_searched_section(key):
        text = f"{section}.{key} cannot vary between trials; only keys of {', '.join(SEARCHED_SECTIONS)} can"
        return Fault(f"{section}.{key}", text)
    if key in SEARCHED_SECTIONS:
        return Fault(f"{section}.{key}", f"{section}.{key} is a whole section; name one of its keys")
    if key.startswith("data.input.") and (why := data.FIXED.get(key.removeprefix("data.input."))):
        return Fault(f"{section}.{key}", f"{section}.{key} cannot vary: {why}")
    owners = kinds_with(key, data)
    if owners and (not kinds or set(owners) & set(kinds)):
        return None
    fault = unknown_trial_key(key, kinds[0] if len(kinds) == 1 else None, data)
    if owners:
        text = f"{key} does not exist for {' or '.join(kinds)}, only for {', '.join(owners)}"
        return Fault(f"{section}.{key}", f"{section}.{text}; vary model.kind too, or remove it")
    return Fault(f"{section}.{key}", f"{section}.{fault.text}")


def space_kinds(base: TrialConfig, space: Space) -> list[str]:
    """The model kinds a search over this space can meet."""
    domain = space.get("model.kind")
    if domain is None or domain.choices is None:
        return [base.model.kind]
    return [kind for kind in families() if kind in domain.choices]


def is_active(base: TrialConfig, space: Space, key: str, params: dict[str, Any], depth: int = 0) -> bool:
    """Whether a searched key is drawn at all, given the values drawn so far.

    Args:
        base: The configuration that holds the values of keys not drawn.
        space: The whole space.
        key: A key of the space.
        params: Values drawn so far; keys on which `key` depends must be drawn before it (`search_order`).
        depth: Guard against conditions that go round in a circle.
    """
    kind = params.get("model.kind", base.model.kind)
    if key != "model.kind" and not is_trial_key(key, kind, type(base.data)):
        return False
    for parent, values in (space[key].when or {}).items():
        if parent in space and (depth > len(space) or not is_active(base, space, parent, params, depth + 1)):
            return False
        found = params[parent] if parent in params else _base_value(base, kind, parent)
        if found is _MISSING or same_key(found) not in {same_key(value) for value in values}:
            return False
    return True


def _base_value(base: TrialConfig, kind: str, key: str) -> Any:
    """The value a key has when it is not drawn and the model is of this kind."""
    # Another kind has defaults of its own, and takes over only some values of the base (`change_kind`).
    config = base if kind == base.model.kind else apply_params(base, {"model.kind": kind})[0]
    try:
        return _MISSING if config is None else config.value(key)
    except KeyError:
        return _MISSING


def search_order(space: Space) -> list[str]:
    """The space's keys with every key after those its condition names, model.kind first, otherwise as written."""
    order: list[str] = []
    waiting = sorted(space, key=lambda key: key != "model.kind")
    while waiting:
        ready = [key for key in waiting if not set(space[key].when or {}) & set(waiting) - {key}]
        if not ready:
            return order + waiting  # a circle; check_space refuses it
        order.append(ready[0])
        waiting.remove(ready[0])
    return order


def check_space(base: TrialConfig, space: Space) -> list[Fault]:
    """Every fault of a space over a base: unknown keys, impossible conditions, values that a section would refuse."""
    kinds = space_kinds(base, space)
    faults = [fault for key in space if (fault := key_fault("space", key, kinds, type(base.data))) is not None]
    faults += _when_faults(base, space, kinds)
    wrong = {key for key in space if any(f"{fault.key}.".startswith(f"space.{key}.") for fault in faults)}
    sound = {key: domain for key, domain in space.items() if key not in wrong and not wrong & set(domain.when or {})}
    return faults + _value_faults(base, sound)


def _when_faults(base: TrialConfig, space: Space, kinds: list[str]) -> list[Fault]:
    faults: list[Fault] = []
    for key, domain in space.items():
        for parent, values in (domain.when or {}).items():
            place = f"space.{key}.when.{parent}"
            fault = key_fault(f"space.{key}.when", parent, kinds, type(base.data))
            if fault is not None:
                faults.append(fault)
            elif parent == key:
                faults.append(Fault(place, f"{place} makes a key depend on itself"))
            elif parent in space:
                wrong = [value for value in values if not space[parent].contains(value)]
                text = f"{place} names {', '.join(map(show, wrong))}, which space.{parent} never proposes"
                faults += [Fault(place, text)] if wrong else []
            else:
                having = [kind for kind in kinds if is_trial_key(parent, kind, type(base.data))]
                found = [_base_value(base, kind, parent) for kind in having]
                if not {same_key(value) for value in values} & {same_key(value) for value in found}:
                    text = f"{place} is never met: {parent} is not searched and stays {show(found[0])}"
                    faults.append(Fault(place, text))
    order = search_order(space)
    circle = [key for index, key in enumerate(order) if set(space[key].when or {}) & set(order[index + 1 :])]
    if circle and not faults:
        text = f"the conditions of space.{' and space.'.join(circle)} depend on each other in a circle"
        faults.append(Fault(f"space.{circle[0]}.when", text))
    return faults


def _contexts(base: TrialConfig, space: Space, keys: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Values of the other keys under which all of `keys` are searched: one for each model kind that allows it."""
    kinds = space_kinds(base, space) if "model.kind" in space and "model.kind" not in keys else [None]
    for kind in kinds:
        context: dict[str, Any] = {} if kind is None else {"model.kind": kind}
        todo = list(keys)
        while todo:
            for parent, values in (space[todo.pop()].when or {}).items():
                if parent in space and parent not in keys and parent not in context:
                    context[parent] = values[0]
                    todo.append(parent)
        yield context


def _value_faults(base: TrialConfig, space: Space) -> list[Fault]:
    """Applies every probe of every key alone, then of every pair of keys, and reports each refusal once.

    A rule between two keys (warm-up below epochs) is judged with both of them drawn whenever both are searched, and
    with the base value of the other one when it is not.
    """
    faults: dict[str, Fault] = {}
    for size in (1, 2):
        for keys in itertools.combinations(space, size):
            if any(f"space.{key}" in faults for key in keys):
                continue
            fault = next(_refusals(base, space, keys), None)
            if fault is not None:
                faults[fault.key] = fault
    return list(faults.values())


def _refusals(base: TrialConfig, space: Space, keys: tuple[str, ...]) -> Iterator[Fault]:
    used = False
    for context in _contexts(base, space, keys):
        for values in itertools.product(*(space[key].probes() for key in keys)):
            params = {**context, **dict(zip(keys, values, strict=True))}
            if not all(is_active(base, space, key, params) for key in params if key in space):
                continue
            used = True
            for fault in apply_params(base, params)[1]:
                text = _refusal_text(type(base.data), space, keys, params, fault)
                if text is not None:
                    yield Fault(f"space.{keys[-1]}", text)
    if not used and len(keys) == 1:
        yield Fault(f"space.{keys[0]}", f"space.{keys[0]} is never searched: its conditions cannot be met together")


def _refusal_text(
    data: type[DataSection], space: Space, keys: tuple[str, ...], params: dict[str, Any], fault: Fault
) -> str | None:
    """The sentence for a refused proposal, or None when another combination of keys is to blame."""
    if fault.linked:
        searched = set(fault.linked) & set(space)
        if searched - set(params) or (len(keys) > 1 and not set(keys) <= searched):
            return None
        return f"space.{' with space.'.join(keys)} allows an impossible pair: {fault.text.partition(': ')[2]}"
    if (fault.key not in keys and fault.key in all_leaves(data)) or len(keys) > 1:
        return None
    info = all_leaves(data).get(fault.key)
    domain = space[keys[0]]
    if domain.kind in ("uniform", "log_uniform") and info is not None and takes(info.annotation, int):
        return f"space.{fault.key} takes whole numbers; use {domain.kind.replace('uniform', 'int')}"
    return f"space.{fault.text}"
