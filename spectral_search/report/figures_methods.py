"""Figures of what methods score as a whole: against training size, and side by side on one test set."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from spectral_search.drawing.figure import Figure, Layout, lacking
from spectral_search.drawing.plotting import DASHES, colour, cut, legend, short_count
from spectral_search.record.evidence import Evidence
from spectral_search.record.finding import listed, signed
from spectral_search.record.methods import Method, difference, leading, ratio
from spectral_search.task.task import Task

_BOUNDS = ("bound", "ceiling")


def size_figure(evidence: Evidence) -> Figure:
    """The objective on test against the number of training examples."""
    task, run = evidence.task, f"spectral-search run {evidence.reporting.sizes_stage} --num-train"
    key, title = f"{task.objective.name}_against_size", f"{task.objective.shown} against training size"
    shown = [method for method in evidence.shown if method.fair or method.role in _BOUNDS]
    sizes = sorted({method.train_size for method in shown if not method.is_baseline})
    if not sizes:
        return lacking(key, title, "No run counts yet.", f"{run} 32000")
    if len({method.train_size for method in shown}) == 1:
        told = f"All runs and baselines have {sizes[0]:,} training {task.examples}"
        return lacking(key, title, f"{told}, so the effect of size is not yet measured.", f"{run} {4 * sizes[0]}")
    command = None if len(sizes) > 1 else f"{run} {4 * sizes[0]}"
    return Figure(key, title, _size_caption(shown, task), lambda layout: _draw_size(layout, shown, task), command)


def _size_caption(methods: Sequence[Method], task: Task) -> str:
    parts = []
    for family in dict.fromkeys(method.family for method in methods if not method.is_baseline):
        best = {m.train_size: m for m in sorted((m for m in methods if m.family == family), key=lambda m: m.gain)}
        if len(best) > 1:
            small, large = best[min(best)], best[max(best)]
            gain = signed(difference(large, small), large.value - small.value)
            parts.append(
                f"{family}: {gain} in {task.objective.shown} from {min(best):,} to {max(best):,} {task.examples}"
            )
    told = "; ".join(parts) or "no family has runs of two sizes yet"
    return f"{told[0].upper() + told[1:]}. Bars are 95% intervals over test {task.examples}."


def _draw_size(layout: Layout, methods: Sequence[Method], task: Task) -> Canvas:
    canvas = layout.canvas(3.4 if not layout.narrow else 3.2)
    ax = canvas.subplots()
    for family in dict.fromkeys(method.family for method in methods):
        mine = sorted((m for m in methods if m.family == family), key=lambda m: (m.train_size, m.gain))
        best = {m.train_size: m for m in mine}
        hue, bound = colour(family), any(method.role in _BOUNDS for method in mine)
        if len(best) > 1:
            ax.plot(list(best), [m.value for m in best.values()], color=hue, lw=1.2, ls=DASHES[bound], zorder=2)
        for place, method in enumerate(mine):
            told = method.label if method.is_baseline else family
            _point(ax, method.train_size, method, "v" if method.is_baseline else "o", told if place == 0 else None)
        upper = [(m.train_size, m.upper_estimate) for m in mine if m.upper_estimate is not None]
        if upper:
            sizes, values = zip(*upper, strict=True)
            ax.plot(sizes, values, "^", mfc="none", color=hue, ms=6, label=mine[0].upper_label, zorder=3)
    ax.set_xscale("log")
    _size_ticks(ax, sorted({method.train_size for method in methods}))
    ax.set(xlabel=f"training {task.examples}", ylabel=f"test {task.objective.shown}")
    legend(canvas, ax, layout)
    return canvas


def _point(ax: Axes, x: float, method: Method, marker: str, label: str | None) -> None:
    hue, found = colour(method.family), method.estimate
    if found is not None:
        ax.plot([x, x], [found.low, found.high], color=hue, lw=1.4, zorder=2.5)
    ax.plot([x], [method.value], marker, color=hue, ms=5.5, label=label, zorder=3)


def _size_ticks(ax: Axes, sizes: list[int]) -> None:
    low, high = sizes[0], sizes[-1]
    ax.set_xlim(low / 1.5, high * 1.5)
    # Sizes that lie closer than a fifth of the axis would print over each other.
    kept: list[int] = []
    for size in sizes:
        if not kept or np.log(size / kept[-1]) > 0.17 * np.log(2.25 * high / low):
            kept.append(size)
    ax.set_xticks(kept)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())


def comparison_figure(evidence: Evidence) -> Figure:
    """All methods of one test set, best first."""
    methods, task = evidence.side_by_side, evidence.task
    key, title = "comparison", "Methods on one test set"
    if not methods:
        command = f"spectral-search run {evidence.reporting.stage} --data-root ROOT"
        return lacking(key, title, "No run was tested yet: the data root has no test set.", command)
    ranked = sorted(methods, key=lambda m: -m.gain)
    there = {m.family for m in methods if m.is_baseline}
    wanted = None if there else f"spectral-search baselines --like {max(methods, key=lambda m: m.train_size).name}"
    others = [metric.headed for metric in task.metrics[1:]]
    rows = [["method", "input", "train", task.objective.shown, "95% interval", *others]]
    for method in ranked:
        rows += [*_upper_row(method, len(others)), _row(method, task)]
    caption = _comparison_caption(ranked, evidence) + (
        "" if there else " No baselines were computed on this test set yet."
    )
    return Figure(key, title, caption, lambda layout: _draw_comparison(layout, ranked, task), wanted, rows)


def _row(method: Method, task: Task) -> list[str]:
    found = method.estimate
    interval = "-" if found is None else f"{found.low:.3f} to {found.high:.3f}"
    told = method.label if method.is_baseline else f"{method.name} ({method.family})"
    names = [metric.name for metric in task.metrics[1:]]
    errors = [f"{method.scores[name]:.3f}" if method.scores.get(name) else "-" for name in names]
    return [told, method.input, f"{method.train_size:,}", f"{method.value:.3f}", interval, *errors]


def _upper_row(method: Method, others: int) -> list[list[str]]:
    """Above a ceiling's lower bound its upper estimate, which is no prediction and so has no errors."""
    if method.upper_estimate is None:
        return []
    size, value = f"{method.train_size:,}", f"{method.upper_estimate:.3f}"
    return [[method.upper_label, method.input, size, value, "-", *["-"] * others]]


def _comparison_caption(ranked: Sequence[Method], evidence: Evidence) -> str:
    networks = [method for method in ranked if not method.is_baseline]
    lead = leading(ranked) or ranked[0]
    objective = evidence.task.objective
    unit = f" {objective.unit}" if objective.unit else ""
    parts = [f"{lead.name} ({lead.family}), best on val, has test {objective.shown} {lead.value:.3f}{unit}"]
    others = [
        *[method for method in networks if method.fair and method is not lead][:1],
        *(method for method in ranked if method.called),
    ]
    parts += [_against(lead, other) for other in others]
    ceiling = next((method for method in ranked if method.role == "ceiling"), None)
    share = None if ceiling is None else ratio(lead, ceiling)
    if ceiling is not None and share is not None:
        parts.append(f"{share.value:.1%} of the ceiling's lower bound ({share.low:.1%} to {share.high:.1%})")
        if ceiling.upper_estimate is not None:
            parts.append(f"{lead.value / ceiling.upper_estimate:.1%} of its upper estimate")
    unfair = [method.name for method in networks if not method.fair]
    told = f" {listed(unfair)} is told more than {evidence.reporting.given}: no comparison." if unfair else ""
    warnings = [str(text) for method in ranked for text in method.facts.get("warnings", [])]
    intervals = f"In brackets 95% intervals over test {evidence.task.examples}, paired for differences."
    text = f"{', '.join(parts)}. {intervals}{told}"
    return " ".join([text, *warnings])


def _against(lead: Method, other: Method) -> str:
    gap, value = difference(lead, other), lead.value - other.value
    name = other.called if other.is_baseline else other.name
    if gap is None:
        return f"{value:+.3f} against {name}"
    told = f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
    return f"{'a tie with' if gap.low <= 0.0 <= gap.high else 'above' if value > 0 else 'below'} {name}: {told}"


def _draw_comparison(layout: Layout, ranked: Sequence[Method], task: Task) -> Canvas:
    uppers = sum(method.upper_estimate is not None for method in ranked)
    canvas = layout.canvas(1.1 + 0.3 * (len(ranked) + uppers))
    ax = canvas.subplots()
    names: list[str] = []
    for method in ranked:
        hue, found, size = colour(method.family), method.estimate, short_count(method.train_size)
        if method.upper_estimate is not None:
            ax.axvline(method.upper_estimate, color=hue, lw=1.0, ls=DASHES[2], zorder=1.5)
            ax.plot([method.upper_estimate], [len(names)], "^", mfc="none", color=hue, ms=6)
            names.append(f"{method.upper_label} ({size})")
        if method.is_baseline:
            ax.axvline(method.value, color=hue, lw=1.0, ls=DASHES[1], zorder=1.5)
        if found is not None:
            ax.plot([found.low, found.high], [len(names)] * 2, color=hue, lw=2.0, solid_capstyle="round")
        ax.plot([method.value], [len(names)], "v" if method.is_baseline else "o", color=hue, ms=6)
        names.append(f"{method.label} ({size})")
    ax.set_yticks(range(len(names)), [cut(name, 24 if layout.narrow else 40) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    where = "" if layout.narrow else f" (training {task.examples} in brackets)"
    ax.set_xlabel(f"test {task.objective.shown}{where}")
    return canvas
