"""Figures of what methods score as a whole: against training size, and side by side on one test set."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from spectral_search.record.method_scores import CEILING, UPPER, Method, difference, leading, r2_ratio
from spectral_search.report.figures import DASHES, Figure, Layout, colour, cut, lacking, legend, short_count
from spectral_search.report.verdicts import listed, signed

BOUNDS = ("oracle mixture", "ceiling")


def size_figure(methods: Sequence[Method]) -> Figure:
    """Test R2 against the number of training spectra."""
    key, title = "r2_against_size", "R² against training size"
    shown = [method for method in methods if method.fair or method.family in BOUNDS]
    sizes = sorted({method.train_size for method in shown if not method.is_baseline})
    if not sizes:
        return lacking(key, title, "No run counts yet.", "spectral-search run mvp_mlp1 --num-train 32000")
    if len({method.train_size for method in shown}) == 1:
        reason = (
            f"All runs and baselines have {sizes[0]:,} training spectra, so the effect of size is not yet measured."
        )
        return lacking(key, title, reason, _size_command(sizes))
    return Figure(
        key, title, _size_caption(shown, sizes), lambda layout: _draw_size(layout, shown), _size_command(sizes)
    )


def _size_command(sizes: list[int]) -> str | None:
    return None if len(sizes) > 1 else f"spectral-search run mvp_mlp1 --num-train {4 * sizes[0]}"


def _size_caption(methods: Sequence[Method], sizes: list[int]) -> str:
    parts = []
    for family in dict.fromkeys(method.family for method in methods if not method.is_baseline):
        best = {m.train_size: m for m in sorted((m for m in methods if m.family == family), key=lambda m: m.r2_value)}
        if len(best) > 1:
            small, large = best[min(best)], best[max(best)]
            gain = signed(difference(large, small), large.r2_value - small.r2_value)
            parts.append(f"{family}: {gain} in R² from {min(best):,} to {max(best):,} spectra")
    told = "; ".join(parts) or "no family has runs of two sizes yet"
    return f"{told[0].upper() + told[1:]}. Bars are 95% intervals over test spectra."


def _draw_size(layout: Layout, methods: Sequence[Method]) -> Canvas:
    canvas = layout.canvas(3.4 if not layout.narrow else 3.2)
    ax = canvas.subplots()
    for family in dict.fromkeys(method.family for method in methods):
        mine = sorted((m for m in methods if m.family == family), key=lambda m: (m.train_size, m.r2_value))
        best = {m.train_size: m for m in mine}
        hue, bound = colour(family), family in BOUNDS
        if len(best) > 1:
            ax.plot(list(best), [m.r2_value for m in best.values()], color=hue, lw=1.2, ls=DASHES[bound], zorder=2)
        for place, method in enumerate(mine):
            told = CEILING if family == "ceiling" else family
            _point(ax, method.train_size, method, "v" if method.is_baseline else "o", told if place == 0 else None)
        upper = [(m.train_size, m.upper_estimate) for m in mine if m.upper_estimate is not None]
        if upper:
            sizes, values = zip(*upper, strict=True)
            ax.plot(sizes, values, "^", mfc="none", color=hue, ms=6, label=UPPER, zorder=3)
    ax.set_xscale("log")
    _size_ticks(ax, sorted({method.train_size for method in methods}))
    ax.set(xlabel="training spectra", ylabel="test R²")
    legend(canvas, ax, layout)
    return canvas


def _point(ax: Axes, x: float, method: Method, marker: str, label: str | None) -> None:
    hue, found = colour(method.family), method.r2
    if found is not None:
        ax.plot([x, x], [found.low, found.high], color=hue, lw=1.4, zorder=2.5)
    ax.plot([x], [method.r2_value], marker, color=hue, ms=5.5, label=label, zorder=3)


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


def comparison_figure(methods: Sequence[Method]) -> Figure:
    """All methods of one test set, best first."""
    key, title = "comparison", "Methods on one test set"
    if not methods:
        command = "spectral-search run step1 --data-root ROOT"
        return lacking(key, title, "No run was tested yet: the data root has no test set.", command)
    ranked = sorted(methods, key=lambda m: -m.r2_value)
    there = {m.family for m in methods if m.is_baseline}
    wanted = None if there else f"spectral-search baselines --like {max(methods, key=lambda m: m.train_size).name}"
    rows = [["method", "input", "train", "R²", "95% interval", "MAE dex", "RMSE dex"]]
    for method in ranked:
        rows += [*_upper_row(method), _row(method)]
    caption = _comparison_caption(ranked) + ("" if there else " No baselines were computed on this test set yet.")
    return Figure(key, title, caption, lambda layout: _draw_comparison(layout, ranked), wanted, rows)


def _row(method: Method) -> list[str]:
    found = method.r2
    interval = "-" if found is None else f"{found.low:.3f} to {found.high:.3f}"
    told = method.label if method.is_baseline else f"{method.name} ({method.family})"
    errors = [f"{method.scores[key]:.3f}" if method.scores.get(key) else "-" for key in ("mae_dex", "rmse_dex")]
    return [told, method.input, f"{method.train_size:,}", f"{method.r2_value:.3f}", interval, *errors]


def _upper_row(method: Method) -> list[list[str]]:
    """Above the ceiling's lower bound its upper estimate, which is no prediction and so has no errors."""
    if method.upper_estimate is None:
        return []
    return [[UPPER, method.input, f"{method.train_size:,}", f"{method.upper_estimate:.3f}", "-", "-", "-"]]


def _comparison_caption(ranked: Sequence[Method]) -> str:
    networks = [method for method in ranked if not method.is_baseline]
    lead = leading(ranked) or ranked[0]
    parts = [f"{lead.name} ({lead.family}), best on val, has test R² {lead.r2_value:.3f}"]
    others = [
        *[method for method in networks if method.fair and method is not lead][:1],
        *(method for method in ranked if method.family in ("Ridge", "LightGBM", "oracle mixture")),
    ]
    parts += [_against(lead, other) for other in others]
    ceiling = next((method for method in ranked if method.family == "ceiling"), None)
    share = None if ceiling is None else r2_ratio(lead, ceiling)
    if ceiling is not None and share is not None:
        parts.append(f"{share.value:.1%} of the ceiling's lower bound ({share.low:.1%} to {share.high:.1%})")
        if ceiling.upper_estimate is not None:
            parts.append(f"{lead.r2_value / ceiling.upper_estimate:.1%} of its upper estimate")
    unfair = [method.name for method in networks if not method.fair]
    told = f" {listed(unfair)} is told more than the flux: no comparison." if unfair else ""
    warnings = [str(text) for method in ranked for text in method.facts.get("warnings", [])]
    text = f"{', '.join(parts)}. In brackets 95% intervals over test spectra, paired for differences.{told}"
    return " ".join([text, *warnings])


def _against(lead: Method, other: Method) -> str:
    gap, value = difference(lead, other), lead.r2_value - other.r2_value
    name = (
        other.name if not other.is_baseline else other.label if other.label in ("Ridge", "LightGBM") else "the oracle"
    )
    if gap is None:
        return f"{value:+.3f} against {name}"
    told = f"{gap.value:+.3f} ({gap.low:+.3f} to {gap.high:+.3f})"
    return f"{'a tie with' if gap.low <= 0.0 <= gap.high else 'above' if value > 0 else 'below'} {name}: {told}"


def _draw_comparison(layout: Layout, ranked: Sequence[Method]) -> Canvas:
    uppers = sum(method.upper_estimate is not None for method in ranked)
    canvas = layout.canvas(1.1 + 0.3 * (len(ranked) + uppers))
    ax = canvas.subplots()
    names: list[str] = []
    for method in ranked:
        hue, found, size = colour(method.family), method.r2, short_count(method.train_size)
        if method.upper_estimate is not None:
            ax.axvline(method.upper_estimate, color=hue, lw=1.0, ls=DASHES[2], zorder=1.5)
            ax.plot([method.upper_estimate], [len(names)], "^", mfc="none", color=hue, ms=6)
            names.append(f"{UPPER} ({size})")
        if method.is_baseline:
            ax.axvline(method.r2_value, color=hue, lw=1.0, ls=DASHES[1], zorder=1.5)
        if found is not None:
            ax.plot([found.low, found.high], [len(names)] * 2, color=hue, lw=2.0, solid_capstyle="round")
        ax.plot([method.r2_value], [len(names)], "v" if method.is_baseline else "o", color=hue, ms=6)
        names.append(f"{method.label} ({size})")
    ax.set_yticks(range(len(names)), [cut(name, 24 if layout.narrow else 40) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("test R² (training spectra in brackets)" if not layout.narrow else "test R²")
    return canvas
