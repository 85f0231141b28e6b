"""Efficiency of the search itself: epochs until the best of what was recorded is found, on our grids and on tasks."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna

from benchmarks.bench_context import BenchContext
from benchmarks.bench_findings import Findings, Row, Target
from benchmarks.recorded_curves import FOLDER, Curves, read_curves
from benchmarks.recorded_tasks import RecordedTask, read_tasks
from benchmarks.replay import Strategy, epochs_to_find, searched, top_after
from spectral_search.spec.search import SearchSpec

_TOLERANCE = 0.005
"""How far below the grid's best val R2 counts as reached."""
_SEEDS, _QUICK_SEEDS = 8, 1
_ORDERS, _QUICK_ORDERS = 60, 2
"""Seeds of a method on a task: its random choices are others in each."""
_CONCURRENT = 8
"""Trials at a time, as in a pack; the search knows less than if it trained one after the other."""
_TOP_EPOCHS, _TOP_SHARE = 5, 10
RANDOM = "random"
METHODS: dict[str, dict[str, Any]] = {
    "parzen + promotion (default)": {"sampler": "parzen", "pruner": "promote"},
    "parzen + promotion from a tenth": {"sampler": "parzen", "pruner": "promote", "min_epochs": 0.1},
    "random + promotion": {"sampler": "random", "pruner": "promote"},
    "random + promotion from epoch 1, one in 4": {
        "sampler": "random",
        "pruner": "promote",
        "min_epochs": 1,
        "reduction_factor": 4,
    },
    "random + halving": {"sampler": "random", "pruner": "halving"},
    "random + ASHA": {"sampler": "random", "pruner": "asha"},
}
"""Rules of `search`; min_epochs below 1 is a part of the epochs."""
DEFAULT = next(iter(METHODS))
_DRAWN = (DEFAULT, "random + promotion", "random + halving", "TPE + ASHA", "TPE", RANDOM)
"""What the figure shows, in its six colours."""
_GAIN, _WORST_GAIN = 7.0, 4.5
"""How many times cheaper than random search the default is to be on recorded tasks: on average and at worst."""
_PHYSICS = (
    "A real grid was trained once, every configuration to its last epoch; searches are replayed on its learning "
    "curves with the search's own proposals and stopping rules, eight trials at a time, as many as the grid has. "
    "A proposal stands for the recorded configuration next to it that no trial has had. Counted are epochs until the "
    "best val R2 so far is within 0.005 of the best of the whole grid; random order alone would need about half of the "
    "grid where one configuration reaches that, less where several do. On recorded tasks (--curves) the pool is what "
    "was recorded, one trial trains at a time, and counted are epochs until one of the best hundredth, by the last "
    "value, is trained to its end."
)


def _strategies(curves: Curves) -> dict[str, Strategy]:
    """What is compared on a grid."""
    compared = {name: searched(concurrent=_CONCURRENT, **_options(name, curves.epochs)) for name in METHODS}
    return compared | {
        "TPE + ASHA": searched("tpe", "asha", _CONCURRENT),
        "TPE": searched("tpe", "none", _CONCURRENT),
        RANDOM: searched("random", "none", _CONCURRENT),
        f"best tenth after {_TOP_EPOCHS} epochs": top_after(_TOP_EPOCHS, max(1, len(curves.params) // _TOP_SHARE)),
    }


def _options(method: str, epochs: int) -> dict[str, Any]:
    options = dict(METHODS[method])
    if (first := options.get("min_epochs", 1)) < 1:
        options["min_epochs"] = max(1, round(first * epochs))
    return options


def measure(context: BenchContext) -> Findings:
    """Replay every strategy on every recorded grid, and on the tasks of a file where one is given."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tasks = read_tasks(context.curves) if context.curves is not None else []
    rows: list[Row] = []
    details: dict[str, Any] = {}
    drawn: dict[str, object] = {}
    for file in sorted(FOLDER.glob("curves_*.csv")):
        curves, started = read_curves(file), time.perf_counter()
        traces = _replayed(curves, _QUICK_SEEDS if context.quick else _SEEDS)
        context.say(f"efficiency: {file.stem}, {len(curves.params)} configurations x {curves.epochs} epochs")
        rows += [_row(file.stem, name, curves, found) for name, found in traces.items()]
        details[file.stem] = _details(curves, traces, time.perf_counter() - started)
        drawn[file.stem] = {
            "configurations": len(curves.params),
            "epochs": curves.epochs,
            "target": curves.best - _TOLERANCE,
            "traces": {name: quartiles(found, curves.grid_epochs) for name, found in traces.items() if name in _DRAWN},
        }
    summary = on_tasks(tasks, context) if tasks else {}
    rows += _task_rows(summary) if summary else []
    return Findings(rows, _PHYSICS, [], {**details, **summary}, drawn, summary)


def _details(curves: Curves, traces: Mapping[str, list[np.ndarray]], seconds: float) -> dict[str, Any]:
    return {
        "configurations": len(curves.params),
        "epochs": curves.epochs,
        "best": curves.best,
        "seconds": seconds,
        "epochs_to_reach": {name: spent_epochs(found, curves) for name, found in traces.items()},
    }


def on_tasks(tasks: list[RecordedTask], context: BenchContext) -> dict[str, Any]:
    """Every method on every task, beside random search.

    Returns:
        curves: task -> method -> median_epochs and times_cheaper_than_random; default: the method that is the
        search's own; geometric_mean and worst: method -> times cheaper than random search over the tasks.
    """
    orders = _QUICK_ORDERS if context.quick else _ORDERS
    curves: dict[str, dict[str, dict[str, float]]] = {}
    for task in tasks:
        context.say(f"efficiency: {task.name}, {len(task.params)} configurations x {task.epochs} points")
        at_random = float(np.median([random_epochs(task, seed) for seed in range(orders)]))
        medians = {RANDOM: at_random}
        for name in METHODS:
            options = {**_options(name, task.epochs), "trials": len(task.params)}
            medians[name] = float(
                np.median([epochs_to_find(task, SearchSpec(seed=seed, **options)) for seed in range(orders)])
            )
        curves[task.name] = {
            name: {"median_epochs": spent, "times_cheaper_than_random": at_random / spent}
            for name, spent in medians.items()
        }
    gains = {name: [curves[task][name]["times_cheaper_than_random"] for task in curves] for name in (*METHODS, RANDOM)}
    return {
        "curves": curves,
        "default": DEFAULT,
        "geometric_mean": {name: float(np.exp(np.mean(np.log(found)))) for name, found in gains.items()},
        "worst": {name: min(found) for name, found in gains.items()},
    }


def random_epochs(task: RecordedTask, seed: int) -> int:
    """Epochs until a random order, everything trained to its end, has come to one of the task's best."""
    order = np.random.default_rng(seed).permutation(len(task.params))
    return (int(np.flatnonzero(np.isin(order, list(task.top)))[0]) + 1) * task.epochs


def _task_rows(summary: Mapping[str, Any]) -> list[Row]:
    """A row for each method on average and at worst."""
    rows = []
    for name, gain in summary["geometric_mean"].items():
        held_to = name == summary["default"]
        said = f"recorded tasks: {name}, times cheaper than random search"
        rows += [
            Row(f"{said}, geometric mean", gain, "", target=Target("at least", _GAIN) if held_to else None),
            Row(
                f"{said}, worst",
                summary["worst"][name],
                "",
                target=Target("at least", _WORST_GAIN) if held_to else None,
            ),
        ]
    return rows


def _replayed(curves: Curves, seeds: int) -> dict[str, list[np.ndarray]]:
    """The traces of every strategy, one a seed."""
    return {name: [strategy(curves, seed) for seed in range(seeds)] for name, strategy in _strategies(curves).items()}


def spent_epochs(traces: list[np.ndarray], curves: Curves) -> list[int]:
    """Epochs until each trace came within _TOLERANCE of the grid's best; the whole grid's where it never did."""
    spent = []
    for trace in traces:
        reached = np.flatnonzero(trace >= curves.best - _TOLERANCE)
        spent.append(int(reached[0]) + 1 if len(reached) else curves.grid_epochs)
    return spent


def quartiles(traces: list[np.ndarray], length: int) -> Mapping[str, list[float]]:
    """Lower quartile, median and upper quartile over seeds of the best val R2, at some 200 numbers of epochs."""
    step = max(1, length // 200)
    points = np.arange(step - 1, length, step)
    values = np.array([np.pad(trace, (0, length - len(trace)), mode="edge")[points] for trace in traces])
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    return {"epochs": (points + 1).tolist(), "low": low.tolist(), "median": middle.tolist(), "high": high.tolist()}


def _row(grid: str, name: str, curves: Curves, traces: list[np.ndarray]) -> Row:
    spent = spent_epochs(traces, curves)
    within = sum(epochs <= curves.grid_epochs / 5 for epochs in spent)
    beside = (
        f"the whole grid; {within} of {len(spent)} seeds within a fifth, worst {max(spent) / curves.grid_epochs:.2f}"
    )
    target = Target("at most", 0.2) if name == DEFAULT else None
    return Row(f"{grid}: {name}, median", float(np.median(spent)), "epochs", beside, curves.grid_epochs, target)
