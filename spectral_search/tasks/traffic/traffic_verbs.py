"""Readings as data: the verbs that simulate and inspect them, and the road network of a search that is given none."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.places import require_output, writing
from spectral_search.record.durable import replacing
from spectral_search.task.verbs import Answer, Audience, DefaultData, Subject, Verb, VerbOptions, option
from spectral_search.tasks.traffic.readings import Readings, split
from spectral_search.tasks.traffic.road_simulator import simulate_roads
from spectral_search.tasks.traffic.section import TrafficData
from spectral_search.tasks.traffic.traffic_files import read_traffic, readings_arrays
from spectral_search.tasks.traffic.traffic_plan import TrafficPlan

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_CACHE_VERSION = 1
"""Raised with every change of the simulator that changes readings: an old cache must not pass for the new."""


class SimulateOptions(VerbOptions):
    """How large a network, for how long."""

    days: int = option(7, "Days, from a Thursday on.", ge=1, le=366)
    roads: int = option(4, "Roads.", ge=1, le=64)
    sensors_a_road: int = option(3, "Sensors along each.", ge=1, le=64)
    missing: float = option(0.05, "Part of the readings that are not there.", ge=0.0, le=0.9)
    seed: int = option(0, "The same seed gives the same readings.", ge=0)


class InspectOptions(VerbOptions):
    """How the table is to be read."""

    adjacency: str | None = option(None, "An adjacency to check beside it.", metavar="FILE", key="data.adjacency")


def _write_readings(file: Path, readings: Readings) -> None:
    """Write readings as an .npz file, whole or not at all."""
    require_output(file, makes_folders=True)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial, partial.open("wb") as stream:
            arrays: dict[str, Any] = {**readings_arrays(readings)}
            np.savez_compressed(stream, **arrays)


def _simulate(path: Path, options: SimulateOptions, audience: Audience) -> Answer:
    file = path if path.suffix == ".npz" else path / "roads.npz"
    asked: dict[str, Any] = options.model_dump()
    _write_readings(file, simulate_roads(**asked))
    lines = (
        f"Wrote a simulated road network, no substitute for a real one, to {file}.",
        f"Next: spectral-search run traffic_stage1 --quick --data-root {shlex.quote(str(file))}",
    )
    return Answer({"path": str(file), **asked}, lines=lines)


def _inspect(path: Path, options: InspectOptions, audience: Audience) -> Answer:
    readings = read_traffic(TrafficData(root=str(path), adjacency=options.adjacency))
    document = _inspected(readings)
    return Answer(document, _shown(document), has_faults=False)


def _inspected(readings: Readings) -> dict[str, Any]:
    """What readings are, as plain values."""
    values_TS = readings.values_TS
    adjacency_SS = readings.adjacency_SS
    return {
        "steps": len(readings),
        "sensors": len(readings.sensors),
        "step_minutes": readings.step_minutes,
        "first": str(readings.start) if readings.timed else None,
        "missing_share": float(np.isnan(values_TS).mean()),
        "dead_sensors": readings.dead_sensors,
        "lowest": float(np.nanmin(values_TS)),
        "mean": float(np.nanmean(values_TS)),
        "highest": float(np.nanmax(values_TS)),
        "neighbours": None if adjacency_SS is None else float((adjacency_SS > 0).sum(1).mean() - 1),
    }


def _shown(document: dict[str, Any]) -> "Table":
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for key, value in document.items():
        told = f"{value:.4g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else value
        table.add_row(key.replace("_", " "), "-" if told in (None, "") else str(told))
    return table


class BaselinesOptions(VerbOptions):
    """Whether what is kept is fitted anew."""

    again: bool = option(False, "Fit also what is stored already.")


def _plan_of(subject: Subject) -> TrafficPlan:
    """That of a run, else of the data that are named."""
    if subject.data is not None:
        plan: TrafficPlan = subject.data
        return plan
    data = subject.spec.data
    return TrafficPlan(subject.spec, split(read_traffic(data), data, data.history or data.input.steps))


def _fit(subject: Subject, options: BaselinesOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.traffic.kept_traffic import fit_baselines

    plan = _plan_of(subject)
    found = fit_baselines(plan.parts, plan.record(), subject.results, audience, options.again)
    document = {
        name: {f"test_{key}": value for key, value in entry.items()} for name, entry in found["methods"].items()
    }
    return Answer(document, _baselines_table(found, plan.sizes.test or 0))


def _baselines_table(found: dict[str, Any], windows: int) -> "Group":
    from rich.console import Group

    from spectral_search.record.wording import fitted_table
    from spectral_search.tasks.traffic.kept_traffic import CALLED
    from spectral_search.tasks.traffic.traffic_metrics import METRICS

    first, *others = (metric for metric in METRICS if metric.name.startswith("mae"))
    title = f"Baselines, {found['train_windows']:,} training windows: {windows:,} test windows"
    rows = [["method", first.label, "95% interval", *(metric.label for metric in others), "seconds"]]
    for name, entry in found["methods"].items():
        interval = f"{first.number(entry['low'])} to {first.number(entry['high'])}"
        rest = [metric.number(entry[metric.name]) for metric in others]
        rows.append([CALLED[name], first.number(entry[first.name]), interval, *rest, f"{entry['seconds']:.1f}"])
    return Group(title, fitted_table(rows, range(3, len(rows[0])), called="column"))


def _look(subject: Subject, options: VerbOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.traffic.traffic_audit import audit_readings

    found = audit_readings(_plan_of(subject).parts)
    lines = [
        f"{'fault' if finding['fault'] else 'ok'}: {name}: {finding['told']}"
        + (f" ({', '.join(finding['sensors'])})" if finding["sensors"] else "")
        for name, finding in found.items()
    ]
    faults = any(finding["fault"] for finding in found.values())
    return Answer({"findings": found, "faults": faults}, lines=tuple(lines))


BASELINES = Verb(
    "Fit the last value, the usual one of the time of day, and ridge regression; what is done is kept.",
    BaselinesOptions,
    _fit,
)
AUDIT = Verb("Look for dead, stuck and twin sensors, missing parts, and leaks across time.", VerbOptions, _look)
SIMULATE = Verb(
    "Write the readings of a simulated road network as an .npz file. No substitute for a real one.",
    SimulateOptions,
    _simulate,
    of="The .npz file, or a folder for roads.npz.",
)
INSPECT = Verb("Show what a table of readings holds.", InspectOptions, _inspect, of="The table.")


def small_network() -> DefaultData:
    """A small simulated network."""
    return DefaultData(
        name=f"roads-v{_CACHE_VERSION}.npz",
        making="simulating a week of a road network",
        takes="a second",
        called="a simulated road network",
        caveat="no substitute for a real one",
        write=lambda path, audience: _write_readings(path, simulate_roads()),
    )
