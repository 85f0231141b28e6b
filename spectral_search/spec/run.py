"""One validated search: the base configuration, what is varied around it, who proposes, and on what it runs."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import Field

from spectral_search.errors import RequestError
from spectral_search.spec.base import Section
from spectral_search.spec.data_section import DataSection
from spectral_search.spec.domain import Domain
from spectral_search.spec.families import ModelSpec
from spectral_search.spec.faults import Fault, build_section, unknown_key
from spectral_search.spec.fit import FitSpec
from spectral_search.spec.gate import GateSpec
from spectral_search.spec.grid import Product, check_grid, grid_points, parse_grid, products
from spectral_search.spec.keys import TOP_KEYS, all_leaves
from spectral_search.spec.search import InheritSpec, ResourcesSpec, SearchSpec
from spectral_search.spec.sets import apply_sets
from spectral_search.spec.space import check_space, is_active, key_fault, parse_space, search_order, space_kinds
from spectral_search.spec.task_modules import DEFAULT_TASK
from spectral_search.spec.trial import TrialConfig, apply_params, build_trial, section_of
from spectral_search.spec.yaml_io import dump_yaml, show

__all__ = ["RunSpec", "TrialConfig"]


class _Header(Section):
    """The keys of a spec that are no section."""

    stage: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
    description: str = ""
    task: Annotated[str, Field(min_length=1, max_length=4096)] = DEFAULT_TASK


class RunSpec(Section):
    """A whole spec. Build one with `load_spec` or `RunSpec.from_dict`, which check what pydantic alone cannot.

    Attributes:
        stage: Name of the stage, from the file's name unless the file says otherwise.
        description: One or two sentences for `specs` and `show`.
        task: Name of the task, or the .py file that defines it.
        data: The base data section; trials may differ from it in data.input only.
        model: The base model section.
        fit: The base fit section.
        space: Dotted key -> domain, for every sampler but grid.
        grid: Dotted key -> list of values, or a list of such products; the published grid.
        search: Who proposes trials and when they are stopped.
        resources: What the trials may use.
        inherit: Keys still to be filled from another stage's best trial; None when there are none.
        gate: What the stage must reach for the next to begin; None where it has no such bound.
        provenance: Where an exported configuration comes from, in free form.
    """

    stage: str
    description: str = ""
    task: str = DEFAULT_TASK
    # Of the class that the task brings, which no annotation can name: `build_trial` validates it.
    data: Any
    model: ModelSpec
    fit: FitSpec
    space: dict[str, Domain] = Field(default_factory=dict)
    grid: Product | list[Product] = Field(default_factory=dict)
    search: SearchSpec = SearchSpec()
    resources: ResourcesSpec = ResourcesSpec()
    inherit: InheritSpec | None = None
    gate: GateSpec | None = None
    provenance: dict[str, Any] | None = None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "RunSpec":
        """Validates plain values, as `to_dict` gives them.

        Raises:
            RequestError: With one sentence for each fault.
        """
        spec, faults = assemble(dict(raw))
        if spec is None:
            raise RequestError(*(fault.text for fault in faults))
        return spec

    def to_dict(self) -> dict[str, Any]:
        """Plain values, every default spelt out; `inherit`, `gate` and `provenance` only where there are any."""
        # By alias, since inherit.from cannot be a field of that name in Python.
        values = self.model_dump(by_alias=True, exclude={"space"})
        values["space"] = {key: domain.to_yaml() for key, domain in self.space.items()}
        return {key: values[key] for key in TOP_KEYS if values[key] is not None}

    def to_yaml(self) -> str:
        """The resolved spec as YAML; loading it gives an equal RunSpec."""
        return dump_yaml(self.to_dict())

    @property
    def base(self) -> TrialConfig:
        """The configuration around which the search varies."""
        return TrialConfig(data=self.data, model=self.model, fit=self.fit)

    def with_params(self, params: Mapping[str, Any]) -> TrialConfig:
        """The configuration of one trial.

        Args:
            params: Dotted key -> value. Where it changes model.kind, keys foreign to the new kind are dropped.

        Raises:
            RequestError: A key does not exist or a value is impossible.
        """
        config, faults = apply_params(self.base, dict(params))
        if config is None:
            raise RequestError(*(fault.text for fault in faults))
        return config

    def override(self, values: Mapping[str, Any]) -> "RunSpec":
        """This spec with keys fixed to values, as `--set` does it: they leave space, grid and inherit.

        Raises:
            RequestError: With one sentence for each key that does not exist or value that is impossible.
        """
        raw, faults = apply_sets(self.to_dict(), values)
        spec, found = assemble(raw)
        if spec is None or faults:
            raise RequestError(*(fault.text for fault in (*faults, *found)))
        return spec

    def inheriting(self, values: Mapping[str, Any]) -> "RunSpec":
        """This spec with the values that `inherit` asked for; a key that the space searches keeps its domain.

        Raises:
            RequestError: A value is impossible here.
        """
        spec = self.override(values)
        # `override` takes the keys out of the space as well: those searched go back, around their new base value.
        searched = {key: domain for key, domain in self.space.items() if key in values}
        return spec.model_copy(update={"space": {**spec.space, **searched}})

    def fixed(self, params: Mapping[str, Any], provenance: Mapping[str, Any] | None = None) -> "RunSpec":
        """The spec of one trial alone, for export: its values fixed, nothing varied or inherited any more."""
        config = self.with_params(params)
        update: dict[str, Any] = {
            # Memory, devices and database were those of the machine that searched; the next one has its own.
            "data": config.data.on_another_machine(),
            "resources": ResourcesSpec(),
            "model": config.model,
            "fit": config.fit,
            "space": {},
            "grid": {},
        }
        # An exhaustive sampler would have no grid left to go through.
        sampler = "random" if self.search.exhaustive else self.search.sampler
        search = self.search.model_copy(update={"sampler": sampler, "storage": None})
        rest = {
            "search": search,
            "inherit": None,
            "gate": None,
            "provenance": dict(provenance) if provenance is not None else None,
        }
        return self.model_copy(update={**update, **rest})

    def grid_points(self) -> list[dict[str, Any]]:
        """Every point of the grid as params for `with_params`; one empty point when there is no grid."""
        return grid_points(self.base, self.grid)

    def grid_size(self) -> int:
        """The number of points of the grid, 0 when there is none."""
        return len(self.grid_points()) if products(self.grid) else 0

    def search_order(self) -> list[str]:
        """The space's keys in an order in which conditions can be judged as values are drawn."""
        return search_order(self.space)

    def is_active(self, key: str, params: Mapping[str, Any]) -> bool:
        """Whether a key of the space is drawn, given the values drawn before it (in `search_order`)."""
        return is_active(self.base, self.space, key, dict(params))

    def pending_inherit(self, set_keys: Collection[str] = ()) -> list[str]:
        """The keys that must still be filled from `inherit.from_`, without those given otherwise."""
        return [key for key in self.inherit.keys if key not in set_keys] if self.inherit is not None else []


def assemble(raw: dict[str, Any]) -> tuple[RunSpec | None, list[Fault]]:
    """Validates a whole spec: the RunSpec, or every fault in it."""
    header_raw = {key: value for key, value in raw.items() if key in _Header.model_fields and value is not None}
    header, faults = build_section(_Header, "", header_raw)
    data, _ = section_of(raw)
    known = [key for key in all_leaves(data) if not key.startswith("inherit.")]
    faults = [_plain_header(fault, header_raw) for fault in faults]
    faults += [unknown_key(key, TOP_KEYS, known) for key in raw if key not in TOP_KEYS]
    base, base_faults = build_trial(raw)
    search, search_faults = build_section(SearchSpec, "search", raw.get("search"))
    resources, resource_faults = build_section(ResourcesSpec, "resources", raw.get("resources"))
    inherit: InheritSpec | None = None
    inherit_faults: list[Fault] = []
    if raw.get("inherit") is not None:
        inherit, inherit_faults = build_section(InheritSpec, "inherit", raw["inherit"])
    gate: GateSpec | None = None
    gate_faults: list[Fault] = []
    if raw.get("gate") is not None:
        gate, gate_faults = build_section(GateSpec, "gate", raw["gate"])
    space, space_faults = parse_space(raw.get("space"))
    grid, grid_faults = parse_grid(raw.get("grid"))
    faults += [
        *base_faults,
        *search_faults,
        *resource_faults,
        *inherit_faults,
        *gate_faults,
        *space_faults,
        *grid_faults,
    ]
    if base is not None:
        faults += [*check_space(base, space), *check_grid(base, grid)]
    # Values can be tried only on a sound base and a sound domain; misspelt keys can be named regardless.
    unread = [("space", key) for key in _keys_of(raw.get("space")) if base is None or key not in space]
    unread += [("grid", key) for key in _keys_of(raw.get("grid")) if base is None or grid_faults]
    kinds = [] if base is None else space_kinds(base, space)
    faults += [fault for section, key in unread if (fault := key_fault(section, key, kinds, data)) is not None]
    if search is not None and space and not products(grid) and not grid_faults and search.exhaustive:
        told = f"search.sampler is {search.sampler}, but there is no grid; add one, or use random"
        faults.append(Fault("search.sampler", told))
    faults += _inherit_key_faults(base, data, space, grid, inherit) + _provenance_faults(raw.get("provenance"))
    if faults or header is None or base is None:
        return None, faults
    sections = {"data": base.data, "model": base.model, "fit": base.fit, "search": search, "resources": resources}
    varied = {"space": space, "grid": grid, "inherit": inherit, "gate": gate, "provenance": raw.get("provenance")}
    return RunSpec.model_validate({**header.model_dump(), **sections, **varied}), []


def _keys_of(raw: Any) -> list[str]:
    parts = raw if isinstance(raw, list) else [raw]
    return list(dict.fromkeys(key for part in parts if isinstance(part, dict) for key in part))


def _plain_header(fault: Fault, raw: dict[str, Any]) -> Fault:
    if fault.key != "stage" or not isinstance(raw.get("stage"), str):
        return fault
    text = "stage must be made of letters, digits, '_', '-' and '.', "
    text += f"found {show(raw['stage'])}; give the file a stage key"
    return Fault("stage", text)


def _provenance_faults(raw: Any) -> list[Fault]:
    if raw is None or isinstance(raw, dict):
        return []
    return [Fault("provenance", f"provenance must be a section of keys and values, found {show(raw)}")]


def _inherit_key_faults(
    base: TrialConfig | None,
    data: type[DataSection],
    space: dict[str, Domain],
    grid: Product | list[Product],
    inherit: InheritSpec | None,
) -> list[Fault]:
    if inherit is None:
        return []
    kinds = space_kinds(base, space) if base is not None else []
    # A searched key may be inherited: its value is where the grid and a fixed run start from.
    varied = {key for part in products(grid) for key in part}
    faults: list[Fault] = []
    for key in inherit.keys:
        fault = key_fault("inherit.keys", key, kinds, data)
        if fault is not None:
            faults.append(Fault("inherit.keys", fault.text))
        elif key in varied:
            text = f"inherit.keys names {key}, which grid varies as well; keep one of them"
            faults.append(Fault("inherit.keys", text))
    return faults
