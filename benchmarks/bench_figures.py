"""Figures of benchmarks, and the table behind the figure of growth."""

import csv
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

Details = dict[str, Any]
_COLOURS = {"shared": "#0b4f8a", "separate": "#d9822b"}
_GROWTH = {
    ("separate", "standardize"): ("a process a trial, all pixels", "#d9822b"),
    ("shared", "standardize"): ("shared passes, all pixels", "#0b4f8a"),
    ("shared", "signal"): ("shared passes, signal", "#5b8c3a"),
}
_SERIES = ("#0b4f8a", "#d9822b", "#5b8c3a", "#8c4a9b", "#6b7280", "#c0392b")
_IDEAL = "#9aa5b1"
_DPI = 130


def _draw_growth(details: Details, file: Path) -> None:
    """Wall time against trials and against spectra, both axes logarithmic, with lines of ideal growth."""
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for panel, axis, label in zip(axes, ("trials", "spectra"), ("trials", "training spectra"), strict=True):
        points = [point for point in details["points"] if point["axis"] == axis]
        _draw_growth_panel(panel, axis, points)
        fixed = "spectra" if axis == "trials" else "trials"
        panel.set_title(f"{points[0][fixed]:,} {fixed}, {points[0]['epochs']} epochs", fontsize=10)
        panel.set_xlabel(label)
    axes[0].set_ylabel("wall time of the whole search [s]")
    axes[0].legend(frameon=False, fontsize=9)
    _save(figure, file)
    _write_table(details["points"], file.with_suffix(".csv"))


def _draw_growth_panel(panel: Axes, axis: str, points: list[Details]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    for series, (name, colour) in _GROWTH.items():
        chosen = sorted((p[axis], p["seconds"]) for p in points if (p["executor"], p["input"]) == series)
        sizes, seconds = zip(*chosen, strict=True)
        panel.plot(sizes, seconds, "o-", color=colour, lw=1.8, ms=5, label=name)
        first_size, first_seconds = chosen[0]
        label = "ideal: proportional" if name == _GROWTH["shared", "signal"][0] else None
        ideal = [first_seconds * size / first_size for size in sizes]
        panel.plot(sizes, ideal, ":", color=_IDEAL, lw=1.2, label=label, zorder=0)
    panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _tidy(panel)


def _draw_packs(details: Details, file: Path) -> None:
    """Time of an epoch of a pack and of the same members apart, against members."""
    figure = Figure(figsize=(5.2, 4.0), layout="constrained")
    panel = figure.subplots()
    members = details["members"]
    panel.loglog(members, details["together_seconds"], "o-", color=_COLOURS["shared"], lw=1.8, ms=5, label="one pass")
    panel.loglog(members, details["apart_seconds"], "o-", color=_COLOURS["separate"], lw=1.8, ms=5, label="apart")
    panel.set_xscale("log", base=2)
    panel.set_xticks(members, [str(count) for count in members])
    panel.set_xlabel("members")
    panel.set_ylabel("time of an epoch [s]")
    panel.legend(frameon=False, fontsize=9)
    _tidy(panel)
    _save(figure, file)


def _draw_efficiency(details: Details, file: Path) -> None:
    """Best val R2 so far against epochs spent, median and quartiles over seeds, a panel for each recorded grid."""
    figure = Figure(figsize=(5.6 * len(details), 4.2), layout="constrained")
    panels = figure.subplots(1, len(details), squeeze=False)[0]
    for panel, (name, grid) in zip(panels, details.items(), strict=True):
        for colour, (strategy, trace) in zip(cycle(_SERIES), grid["traces"].items(), strict=False):
            panel.fill_between(trace["epochs"], trace["low"], trace["high"], color=colour, alpha=0.15, lw=0)
            panel.plot(trace["epochs"], trace["median"], color=colour, lw=1.8, label=strategy)
        whole = grid["configurations"] * grid["epochs"]
        panel.axhline(grid["target"], color=_IDEAL, lw=1.0, ls="--")
        panel.axvline(whole / 5, color=_IDEAL, lw=1.0, ls="--")
        panel.text(whole / 5, grid["target"] - 0.118, " a fifth of the grid", color="#6b7280", fontsize=8, va="bottom")
        panel.set_ylim(grid["target"] - 0.12, grid["target"] + 0.01)
        panel.set_xlim(0, whole / 2)
        panel.set_title(f"{name}: {grid['configurations']} configurations x {grid['epochs']} epochs", fontsize=10)
        panel.set_xlabel("epochs trained by all trials")
        panel.set_ylabel("best val R² so far")
        panel.legend(frameon=False, fontsize=8, loc="lower right")
        _tidy(panel)
    _save(figure, file)


def _write_table(points: list[Details], file: Path) -> None:
    """Points of growth as a CSV."""
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(points[0]))
        writer.writeheader()
        writer.writerows(points)


DRAW: dict[str, Callable[[Details, Path], None]] = {
    "growth": _draw_growth,
    "packs": _draw_packs,
    "efficiency": _draw_efficiency,
}


def _tidy(panel: Axes) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(True, which="major", color="#e5e7eb", lw=0.6)
    panel.set_axisbelow(True)
    panel.minorticks_off()


def _save(figure: Figure, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_figure(str(file), dpi=_DPI)
