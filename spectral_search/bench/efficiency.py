"""Efficiency of the search itself: epochs until the best val R2 of a whole recorded grid is all but reached."""

import time
from collections.abc import Mapping

import numpy as np
import optuna

from spectral_search.bench.around import Around
from spectral_search.bench.commands import PEERS
from spectral_search.bench.curves import Curves, read_curves
from spectral_search.bench.findings import Findings, Row, Target
from spectral_search.bench.replay import Strategy, searched, top_after

TOLERANCE = 0.005
"""How far below the grid's best val R2 counts as reached."""
SEEDS, QUICK_SEEDS = 8, 1
CONCURRENT = 8
"""Trials at a time, as in a pack; the search knows less than if it trained one after the other."""
TOP_EPOCHS, TOP_SHARE = 5, 10
DEFAULT = "random + halving (default)"
PHYSICS = (
    "A real grid was trained once, every configuration to its last epoch; searches are replayed on its learning "
    "curves with the search's own proposals and stopping rules, eight trials at a time, as many as the grid has. "
    "A proposal stands for the recorded configuration next to it that no trial has had. Counted are epochs until the "
    "best val R2 so far is within 0.005 of the best of the whole grid; random order alone would need about half of the "
    "grid where one configuration reaches that, less where several do."
)


def strategies(curves: Curves) -> dict[str, Strategy]:
    """What is compared."""
    return {
        DEFAULT: searched("random", "halving", CONCURRENT),
        "TPE + ASHA": searched("tpe", "asha", CONCURRENT),
        "random + ASHA": searched("random", "asha", CONCURRENT),
        "TPE": searched("tpe", "none", CONCURRENT),
        "random": searched("random", "none", CONCURRENT),
        f"best tenth after {TOP_EPOCHS} epochs": top_after(TOP_EPOCHS, max(1, len(curves.params) // TOP_SHARE)),
    }


def measure(around: Around) -> Findings:
    """Replay every strategy on every recorded grid."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    rows: list[Row] = []
    details: dict[str, object] = {}
    drawn: dict[str, object] = {}
    files = sorted(PEERS.glob("curves_*.csv"))
    if not files:
        return Findings([], PHYSICS, [f"The recorded curves are not part of an installed package: {PEERS} is missing."])
    for file in files:
        curves = read_curves(file)
        started = time.perf_counter()
        traces = replayed(curves, QUICK_SEEDS if around.quick else SEEDS)
        around.say(f"efficiency: {file.stem}, {len(curves.params)} configurations x {curves.epochs} epochs")
        rows += [_row(file.stem, name, curves, found) for name, found in traces.items()]
        details[file.stem] = {
            "configurations": len(curves.params),
            "epochs": curves.epochs,
            "best": curves.best,
            "seconds": time.perf_counter() - started,
            "epochs_to_reach": {name: spent_epochs(found, curves) for name, found in traces.items()},
        }
        drawn[file.stem] = {
            "configurations": len(curves.params),
            "epochs": curves.epochs,
            "target": curves.best - TOLERANCE,
            "traces": {name: quartiles(found, curves.grid_epochs) for name, found in traces.items()},
        }
    return Findings(rows, PHYSICS, details=details, drawn=drawn)


def replayed(curves: Curves, seeds: int) -> dict[str, list[np.ndarray]]:
    """The traces of every strategy, one a seed."""
    return {name: [strategy(curves, seed) for seed in range(seeds)] for name, strategy in strategies(curves).items()}


def spent_epochs(traces: list[np.ndarray], curves: Curves) -> list[int]:
    """Epochs until each trace came within TOLERANCE of the grid's best; the whole grid's where it never did."""
    spent = []
    for trace in traces:
        reached = np.flatnonzero(trace >= curves.best - TOLERANCE)
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
