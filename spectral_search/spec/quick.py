"""`--quick`: any stage in minutes on two CPU cores, to see that everything works, not to find the best network."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spectral_search.spec.domain import Domain
from spectral_search.spec.forward_operations import typical_operations
from spectral_search.spec.grid import Product, grid_points, products
from spectral_search.spec.run import RunSpec
from spectral_search.spec.sets import apply_sets


@dataclass(frozen=True)
class QuickLimits:
    """The most a quick run spends; a stage that asks for less keeps what it asks for."""

    num_train: int
    num_val: int
    val_draws: int
    epochs: int
    batch_size: int  # small, so that few examples still make enough steps
    trials: int
    finalists: int
    retest_draws: int


# By the multiply-accumulates of a forward pass, which a CPU core does some 10 billion of a second: small MLPs, the
# published CNN [32, 64], and everything larger, where a quick run can only show that the machinery works.
SMALL = QuickLimits(8000, 2000, 2, 12, 256, 8, 2, 5)
MEDIUM = QuickLimits(3000, 600, 2, 8, 64, 6, 2, 3)
LARGE = QuickLimits(600, 300, 2, 4, 32, 4, 1, 3)
_SMALL_OPERATIONS, _MEDIUM_OPERATIONS = 20e6, 60e6


def quick_limits(spec: RunSpec) -> QuickLimits:
    """The limits for a spec, by the work that one example is for its networks."""
    operations = typical_operations(spec)
    if operations <= _SMALL_OPERATIONS:
        return SMALL
    return MEDIUM if operations <= _MEDIUM_OPERATIONS else LARGE


def quick(spec: RunSpec, explicit: Mapping[str, Any] | None = None) -> RunSpec:
    """Shrinks a spec; the architectures it tries stay as they are.

    Examples, epochs, batch size, trials, finalists and noise draws are cut to `quick_limits`; what depends on epochs
    (warm-up, patience, steps, first rung) is cut to fit; ranges and lists over these keys are clipped; a grid keeps
    at most `trials` of its points, spread evenly.

    Args:
        spec: The spec to shrink.
        explicit: Dotted key -> value given on the command line, which quick leaves alone.

    Raises:
        RequestError: The explicit values contradict each other.
    """
    explicit = explicit or {}
    limits = quick_limits(spec)
    most = {key: value for key, value in _most(spec, limits, explicit).items() if not _is_given(key, explicit)}
    raw = spec.to_dict()
    space = {key: _clip(domain, most.get(key)) for key, domain in spec.space.items()}
    raw["space"] = {key: domain.to_yaml() for key, domain in space.items() if isinstance(domain, Domain)}
    trials = explicit.get("search.trials", most.get("search.trials", spec.search.trials))
    for key, value in most.items():
        section, _, name = key.rpartition(".")
        # What is left open has no bound of its own, so the cut holds there too.
        if raw[section][name] is None or raw[section][name] == "auto" or raw[section][name] > value:
            raw[section][name] = value
    # As an override, which also takes out the domains that the one value left rules out.
    raw, _ = apply_sets(raw, {key: only for key, only in space.items() if not isinstance(only, Domain)})
    raw["grid"] = _thin(spec, most, trials if isinstance(trials, int) else limits.trials)
    return RunSpec.from_dict(raw)


def _is_given(key: str, explicit: Mapping[str, Any]) -> bool:
    return any(key == given or key.startswith(f"{given}.") or f"space.{key}" == given for given in explicit)


def _most(spec: RunSpec, limits: QuickLimits, explicit: Mapping[str, Any]) -> dict[str, int]:
    """Dotted key -> the largest value a quick run allows."""
    given = explicit.get("fit.epochs")
    sizes = {"train": limits.num_train, "val": limits.num_val, "draws": limits.val_draws}
    epochs = given if isinstance(given, int) and given > 0 else min(limits.epochs, spec.fit.epochs)
    return {
        **{f"data.{key}": value for key, value in type(spec.data).quick(sizes).items()},
        "fit.epochs": epochs,
        "fit.batch_size": limits.batch_size,
        "fit.warmup_epochs": min(1, epochs - 1),
        "fit.patience": epochs,
        "fit.plateau_patience": max(1, epochs // 4),
        "fit.step_epochs": max(1, epochs // 3),
        "fit.restart_epochs": max(1, epochs // 3),
        "search.trials": limits.trials,
        "search.startup_trials": max(1, limits.trials // 2),
        **({"search.min_epochs": shortened} if (shortened := shorter_rung(spec, epochs)) else {}),
        "search.finalists": limits.finalists,
        "search.retest_draws": limits.retest_draws,
        # Training finalists anew would take a quick run more than half as long again.
        "search.retest_seeds": 1,
    }


def shorter_rung(spec: RunSpec, epochs: int) -> int | None:
    """The same part of fewer epochs as a spec's own first rung is of its own; None where the spec names no rung."""
    first, whole = spec.search.min_epochs, spec.fit.epochs
    return None if first is None else max(1, math.ceil(first * min(epochs, whole) / whole))


def _clip(domain: Domain, most: int | None) -> Domain | Any:
    """The part of a domain up to `most`, or the single value that is left of it."""
    if most is None:
        return domain
    if domain.choices is not None:
        kept = [value for value in domain.choices if not isinstance(value, int | float) or value <= most]
        return domain.model_copy(update={"choices": kept}) if kept else most
    if domain.low is None or domain.high is None or domain.high <= most:
        return domain
    return domain.model_copy(update={"high": type(domain.high)(most)}) if domain.low < most else most


def _thin(spec: RunSpec, most: Mapping[str, int], points: int) -> Product | list[Product]:
    """The grid with values cut to `most`, and at most `points` of its points."""
    cut = [{key: _cut(values, most.get(key)) for key, values in part.items()} for part in products(spec.grid)]
    every = grid_points(spec.base, cut)
    if not cut or len(every) <= points:
        return cut if isinstance(spec.grid, list) else (cut[0] if cut else {})
    picks = [round(index * (len(every) - 1) / max(1, points - 1)) for index in range(points)]
    return [{key: [value] for key, value in every[pick].items()} for pick in picks]


def _cut(values: list[Any], most: int | None) -> list[Any]:
    if most is None:
        return values
    return list(dict.fromkeys(min(value, most) if isinstance(value, int | float) else value for value in values))
