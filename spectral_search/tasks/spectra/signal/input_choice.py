"""What the networks of a search see, decided once its data were looked at: the spec that is kept says it plainly."""

from collections.abc import Mapping
from typing import Any

from spectral_search.record.array_cache import ArrayCache
from spectral_search.spec.domain import Domain
from spectral_search.spec.grid import Product
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.candidate_configs import candidates
from spectral_search.tasks.spectra.section import SUBSPACE_INPUTS, InputSpec
from spectral_search.tasks.spectra.shards.split import Splits
from spectral_search.tasks.spectra.signal.inputs_read import inputs, needs_subspace
from spectral_search.tasks.spectra.signal.subspace_plan import (
    OUTSIDE_HIDDEN,
    FoundSubspace,
    NoSignalError,
    find_subspace,
)
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

_KIND, _COMPONENTS = "data.input.kind", "data.input.components"


def decide_input(spec: RunSpec, splits: Splits) -> tuple[RunSpec, Preprocessing | None, list[str]]:
    """Find the signal where trials read it; where the data do not allow that, take what the spec lets stand in.

    Returns:
        The spec with its input decided, the preprocessing that holds the subspace, and sentences for the plan.

    Raises:
        RequestError: The data do not allow it and nothing may stand in, or too many components are asked for.
    """
    if not needs_subspace(spec):
        return _settled(spec), None, []
    otherwise = spec.data.input.otherwise
    try:
        found = find_subspace(spec, splits, candidates(spec), ArrayCache.here())
    except NoSignalError as error:
        if otherwise is None:
            raise
        return _stood_in(spec, otherwise), None, [_standing_in(spec, error.reason, otherwise)]
    if otherwise is not None and found.outside > OUTSIDE_HIDDEN:
        return _stood_in(spec, otherwise), None, [_standing_in(spec, _hidden(found), otherwise)]
    return _settled(_with_components(spec, found.automatic)), found.prep, found.notes()


def other_input_note(parent: RunSpec, name: str, params: Mapping[str, Any], spec: RunSpec) -> str | None:
    """A word where the run that a search takes values from saw another input than any of its trials will.

    Args:
        parent: The spec of that run.
        name: Its name.
        params: Of its best trial.
        spec: The search, its input decided.
    """
    saw = parent.with_params(params).data.input.kind
    sees = inputs(spec)
    if saw in sees:
        return None
    return (
        f"{name} saw another input ({saw} there, {' or '.join(sorted(sees))} here): its best may not be the best here."
    )


def _hidden(found: FoundSubspace) -> str:
    return (
        f"In {found.sampled:,} training spectra the signal of the val spectra hardly shows: what these hold outside of "
        f"{found.automatic} components is {100 * found.outside:.2g}% of the noise of one."
    )


def _standing_in(spec: RunSpec, reason: str, otherwise: str) -> str:
    wished = " and ".join(sorted(inputs(spec) & SUBSPACE_INPUTS))
    return f"{reason} So networks see {otherwise} and not {wished}, as data.input.otherwise says."


def _settled(spec: RunSpec) -> RunSpec:
    """The spec with nothing left to stand in, and with an input of its grid where that is run and never has its own."""
    update: dict[str, Any] = {"otherwise": None}
    if spec.search.exhaustive and spec.data.input.kind not in inputs(spec):
        update["kind"] = spec.grid_points()[0][_KIND]
    return _with_input(spec, update)


def _stood_in(spec: RunSpec, otherwise: str) -> RunSpec:
    """The spec with another input wherever it names one that is made of components, whose number nobody varies then."""
    kind = spec.data.input.kind
    whole = InputSpec().components
    spec = _with_input(spec, {"kind": otherwise if kind in SUBSPACE_INPUTS else kind, "components": whole})
    space = {key: _replaced(domain, otherwise) if key == _KIND else domain for key, domain in spec.space.items()}
    space.pop(_COMPONENTS, None)
    grid = spec.grid
    changed = [_pixels(part, otherwise) for part in grid] if isinstance(grid, list) else _pixels(grid, otherwise)
    return _settled(spec.model_copy(update={"space": space, "grid": changed}))


def _replaced(domain: Domain, otherwise: str) -> Domain:
    return domain.model_copy(update={"choices": _each_once(domain.choices or [], otherwise)})


def _pixels(part: Product, otherwise: str) -> Product:
    kept = {key: values for key, values in part.items() if key != _COMPONENTS}
    return {key: _each_once(values, otherwise) if key == _KIND else values for key, values in kept.items()}


def _each_once(kinds: list[Any], otherwise: str) -> list[Any]:
    return list(dict.fromkeys(otherwise if kind in SUBSPACE_INPUTS else kind for kind in kinds))


def _with_components(spec: RunSpec, automatic: int) -> RunSpec:
    """The spec with what `components: auto` stands for, which then belongs to it."""
    return _with_input(spec, {"components": automatic}) if spec.data.input.components == "auto" else spec


def _with_input(spec: RunSpec, update: dict[str, Any]) -> RunSpec:
    given = spec.data.input.model_copy(update=update)
    return spec.model_copy(update={"data": spec.data.model_copy(update={"input": given})})
