"""Figures of single spectra's predictions: against S/N, per bin of T_eff, log g and [M/H], against the truth."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle

from spectral_search.drawing.figure import Figure, Layout, lacking
from spectral_search.drawing.plotting import (
    DASHES,
    GRID,
    INK,
    MARKERS,
    MUTED,
    colour,
    legend,
    log_axis,
)
from spectral_search.record.methods import Method, comparable, leading, part_estimates
from spectral_search.record.resampling import Estimate
from spectral_search.tasks.spectra.label_bins import BIN_EDGES
from spectral_search.tasks.spectra.report.score_bins import (
    MIN_SPECTRA,
    BinScore,
    best_bin,
    bin_scores,
    interval_text,
    snr_parts,
    worst_bin,
)

_MOST_LINES = 4
"""Networks in one figure: more lines would hide each other."""


def _evaluate_command(method: Method) -> str:
    """What makes the predictions that a run does not hold."""
    return f"spectral-search evaluate {method.name} --data ROOT"


def snr_figure(methods: Sequence[Method]) -> Figure:
    """R2 within bins of S/N, a line for each method."""
    key, title = "r2_against_snr", "R² against S/N"
    shown = _few([method for method in methods if len(method.error_N)])
    if not shown:
        return _no_predictions(key, title, methods)
    # Of the one that predicted most spectra: a ceiling may stop early.
    labels = max(shown, key=lambda method: int(method.covered_N.sum())).labels
    parts = [] if labels is None else snr_parts(labels)
    if not parts:
        reason = f"S/N is not known, or no bin of S/N holds {MIN_SPECTRA} test spectra."
        return lacking(key, title, reason, "spectral-search inspect ROOT")
    found = {
        m.name: [(snr, e) for snr, part_N in parts if (e := part_estimates([m], part_N)[0]) is not None] for m in shown
    }
    lead = leading(shown) or shown[0]
    (low_snr, low), (high_snr, high) = found[lead.name][0], found[lead.name][-1]
    caption = (
        f"{lead.name} rises from R² {low.value:.2f} ({low.low:.2f} to {low.high:.2f}) at S/N {low_snr:.1f} to "
        f"{high.value:.2f} ({high.low:.2f} to {high.high:.2f}) at S/N {high_snr:.1f}.{_snr_gap(lead, shown, parts)} "
        "R² within each bin of S/N, at its median; bands are 95% intervals. S/N is the median of flux/error over the "
        "pixels of a spectrum."
    )
    return Figure(key, title, caption, lambda layout: _draw_snr(layout, shown, found))


def _snr_gap(lead: Method, shown: Sequence[Method], parts: list[tuple[float, np.ndarray]]) -> str:
    """Where the distance to the ceiling, or else to the best baseline, is largest."""
    others = [m for m in shown if m.is_baseline and comparable(m, lead)]
    if not others:
        return ""
    other = next((m for m in others if m.role == "ceiling"), max(others, key=lambda m: m.value))
    gaps = []
    for snr, part_N in parts:
        mine, theirs = part_estimates([lead], part_N)[0], part_estimates([other], part_N)[0]
        if mine is not None and theirs is not None:
            gaps.append((theirs.value - mine.value, snr))
    if not gaps:
        return ""
    widest = max(gaps)
    if widest[0] <= 0:
        return f" It is above {_article(other)} at every S/N."
    return f" It is furthest below {_article(other)} at S/N {widest[1]:.1f}, by {widest[0]:.2f}."


def _few(methods: Sequence[Method]) -> list[Method]:
    """The baselines, and a few networks that may be compared: each family's best on val, then the next."""
    fair = [method for method in methods if method.fair and not method.is_baseline]
    ranked = sorted(fair, key=lambda method: -method.gain_on_val)
    firsts = list({method.family: method for method in reversed(ranked)}.values())
    chosen = [*firsts, *(method for method in ranked if method not in firsts)][:_MOST_LINES]
    return [*sorted(chosen, key=ranked.index), *(method for method in methods if method.is_baseline)]


def _article(method: Method) -> str:
    if method.role == "ceiling":
        return "the ceiling's lower bound"
    return method.label if method.label.startswith(("Ridge", "LightGBM")) else f"the {method.label}"


def _draw_snr(layout: Layout, methods: Sequence[Method], found: dict[str, list[tuple[float, Estimate]]]) -> Canvas:
    canvas = layout.canvas(3.5)
    ax = canvas.subplots()
    count: dict[str, int] = {}
    for method in methods:
        points = found[method.name]
        if not points:
            continue
        place = count[method.family] = count.get(method.family, -1) + 1
        hue, snr = colour(method.family), [snr for snr, _ in points]
        values = [(e.value, e.low, e.high) for _, e in points]
        ax.fill_between(snr, [v[1] for v in values], [v[2] for v in values], color=hue, alpha=0.13, lw=0)
        label = method.label
        marker = "v" if method.is_baseline else MARKERS[place % len(MARKERS)]
        dash = DASHES[1] if method.is_baseline else DASHES[place % len(DASHES)]
        ax.plot(snr, [v[0] for v in values], marker=marker, ms=4, ls=dash, color=hue, label=label)
    ax.set_xscale("log")
    log_axis(ax.xaxis, *ax.get_xlim(), "{:g}".format)
    lowest = min(v for points in found.values() for v in [e.low for _, e in points])
    ax.set_ylim(bottom=max(lowest - 0.03, -0.5), top=1.0)
    ax.set(xlabel="S/N (median flux/error)", ylabel="test R² within the bin")
    legend(canvas, ax, layout)
    return canvas


def _no_predictions(key: str, title: str, methods: Sequence[Method]) -> Figure:
    networks = [m for m in methods if not m.is_baseline]
    if not networks:
        return lacking(key, title, "No run was tested yet.", "spectral-search run step1 --data-root ROOT")
    names = ", ".join(m.name for m in networks)
    reason = f"{names} keeps no predictions of the single test spectra; runs of earlier versions do not."
    return lacking(key, title, reason, _evaluate_command(networks[0]))


def bins_figure(methods: Sequence[Method]) -> Figure:
    """R2 within bins of T_eff x log g x [M/H], of the best network."""
    key, title = "r2_per_bin", "R² per bin of T_eff, log g and [M/H]"
    method = leading([m for m in methods if len(m.error_N)])
    if method is None:
        return _no_predictions(key, title, methods)
    scores = bin_scores(method)
    worst, best = worst_bin(scores), best_bin(scores)
    if worst is None or best is None:
        reason = f"No bin holds {MIN_SPECTRA} test spectra with known T_eff, log g and [M/H]."
        return lacking(key, title, reason, "spectral-search inspect ROOT")
    caption = (
        f"{method.name} does worst at {worst.name}: R² {worst.r2.value:.2f} "
        f"({worst.r2.low:.2f} to {worst.r2.high:.2f}), RMSE {worst.rmse_dex:.2f} dex, bias {worst.bias_dex:+.2f} dex, "
        f"{worst.spectra} spectra; best at {best.name}: {best.r2.value:.2f}, RMSE {best.rmse_dex:.2f} dex. "
        "Colour and upper number: 1 - MSE of the bin / variance of all test labels, whose mean over the spectra is the "
        "R² of the whole set; below 0 the mean label would do better. Lower number: spectra; bins with fewer than "
        f"{MIN_SPECTRA} are pale and not judged."
    )
    ranked = sorted((s for s in scores if s.spectra >= MIN_SPECTRA), key=lambda s: s.r2.value)[:5]
    rows = [["the five worst bins", "spectra", "R²", "95% interval", "RMSE dex", "bias dex"], *map(_bin_row, ranked)]
    return Figure(key, title, caption, lambda layout: _draw_bins(layout, scores, worst), rows=rows)


def _bin_row(score: BinScore) -> list[str]:
    interval = f"{score.r2.low:.2f} to {score.r2.high:.2f}"
    numbers = [f"{score.r2.value:.2f}", interval, f"{score.rmse_dex:.2f}", f"{score.bias_dex:+.2f}"]
    return [score.name, str(score.spectra), *numbers]


def _draw_bins(layout: Layout, scores: Sequence[BinScore], worst: BinScore) -> Canvas:
    panels = sorted({score.m_h for score in scores})
    canvas, axes = layout.panels(len(panels), 2.5 if layout.narrow else 2.9, columns=3)
    rows, columns = len(BIN_EDGES["log_g"]) + 1, len(BIN_EDGES["T_eff"]) + 1
    scale = Normalize(-0.5, 1.0)
    colours = ScalarMappable(scale, "cividis")
    for ax, panel in zip(axes, panels, strict=True):
        for pale in (False, True):
            value_RC = np.full((rows, columns), np.nan)
            for score in (s for s in scores if s.m_h == panel and (s.spectra < MIN_SPECTRA) == pale):
                value_RC[score.log_g, score.t_eff] = score.r2.value
            ax.pcolormesh(value_RC, cmap=colours.cmap, norm=scale, alpha=0.3 if pale else 1.0)
        for score in (s for s in scores if s.m_h == panel):
            _bin_text(ax, score)
        if panel == worst.m_h:
            corner = (worst.t_eff, worst.log_g)
            frame = Rectangle(corner, 1, 1, fill=False, edgecolor=colour("CNN"), lw=2.4, clip_on=False, zorder=5)
            ax.add_patch(frame)
        ax.set_title(f"[M/H] {interval_text(BIN_EDGES['M_H'], panel)}")
        names = [interval_text(BIN_EDGES["T_eff"], place).replace(" to ", "\nto ") for place in range(columns)]
        ax.set_xticks(
            np.arange(columns) + 0.5, [name.replace(" ", "\n", 1) if "\n" not in name else name for name in names]
        )
        ax.set_yticks(np.arange(rows) + 0.5, [interval_text(BIN_EDGES["log_g"], place) for place in range(rows)])
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.set_xlabel("T_eff in K")
    for ax in axes if layout.narrow else axes[:1]:
        ax.set_ylabel("log g in dex")
    if not layout.narrow:
        for ax in axes[1:]:
            ax.set_yticklabels([])
    where = "bottom" if layout.narrow else "right"
    bar = canvas.colorbar(colours, ax=axes, label="R², worst bin framed", location=where, shrink=0.85, aspect=30)
    bar.outline.set_visible(False)
    return canvas


def _bin_text(ax: Axes, score: BinScore) -> None:
    # Text on a cell is the same in every theme, as the cell is.
    light = score.r2.value < 0.35 and score.spectra >= MIN_SPECTRA
    ink = "#ffffff" if light else "#101010"
    if score.spectra < MIN_SPECTRA:
        ink = INK
    x, y = score.t_eff + 0.5, score.log_g + 0.5
    ax.text(x, y + 0.16, f"{score.r2.value:.2f}", ha="center", va="center", color=ink, fontsize=8.5, weight="bold")
    ax.text(x, y - 0.2, f"{score.spectra}", ha="center", va="center", color=ink, fontsize=7)


def predicted_figure(methods: Sequence[Method]) -> Figure:
    """Predicted against true log g of the best network, with residuals."""
    key, title = "predicted_against_true", "Predicted against true log g"
    method = leading([m for m in methods if len(m.error_N)])
    if method is None:
        return _no_predictions(key, title, methods)
    residual_N = _residuals(method)
    bands = _bands(method.target_N[method.covered_N], residual_N)
    low, high = bands[0], bands[-1]
    slope = float(np.polyfit(method.target_N[method.covered_N], residual_N, 1)[0])
    pull = (
        f"Predictions are pulled towards the mean: the residual changes by {slope:+.2f} dex for each dex of log g"
        if slope < -0.1
        else f"There is little pull towards the mean ({slope:+.2f} dex for each dex of log g)"
    )
    outliers = float(np.mean(np.abs(residual_N) > 1.0))
    caption = (
        f"{method.name}: {pull}; the median residual is {low[2]:+.2f} dex near log g {low[0]:.1f} and {high[2]:+.2f} "
        f"dex near {high[0]:.1f}. {outliers:.1%} of the {len(residual_N):,} test spectra are off by more than 1 dex. "
        "Line and band: median and the middle 68% of the residuals."
    )
    return Figure(key, title, caption, lambda layout: _draw_predicted(layout, method, bands))


def _residuals(method: Method) -> np.ndarray:
    return (method.predicted_N - method.target_N)[method.covered_N]


def _bands(true_N: np.ndarray, residual_N: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Middle of a bin of true log g, and 16%, 50% and 84% quantile of the residuals in it."""
    edges = np.quantile(true_N, np.linspace(0, 1, 1 + int(np.clip(len(true_N) // 40, 2, 16))))
    place_N = np.clip(np.searchsorted(edges, true_N, side="right") - 1, 0, len(edges) - 2)
    found = []
    for place in np.unique(place_N):
        low, middle, high = np.quantile(residual_N[place_N == place], [0.16, 0.5, 0.84])
        found.append((float(np.median(true_N[place_N == place])), float(low), float(middle), float(high)))
    return found


def _draw_predicted(layout: Layout, method: Method, bands: list[tuple[float, float, float, float]]) -> Canvas:
    true_N, residual_N = method.target_N[method.covered_N], _residuals(method)
    canvas, (above, below) = layout.panels(2, 3.3 if layout.narrow else 3.6)
    low, high = float(true_N.min()) - 0.1, float(true_N.max()) + 0.1
    hue, size = colour(method.family), 26 if layout.narrow else 34
    spread = float(np.quantile(np.abs(residual_N), 0.995)) * 1.1
    for ax, y_N, extent in (
        (above, true_N + residual_N, (low, high, low, high)),
        (below, residual_N, (low, high, -spread, spread)),
    ):
        ax.hexbin(
            true_N, y_N, gridsize=(size, int(size * 0.8)), extent=extent, bins="log", mincnt=1, cmap=_faded(hue), lw=0
        )
        ax.set_xlabel("true log g in dex")
        ax.set_xlim(low, high)
    above.plot([low, high], [low, high], color=MUTED, lw=1.0, ls=DASHES[1])
    above.set(ylabel="predicted log g in dex", ylim=(low, high), title=f"R² {method.value:.3f}")
    x, bottom, middle, top = zip(*bands, strict=True)
    below.axhline(0.0, color=MUTED, lw=1.0, ls=DASHES[1])
    below.fill_between(x, bottom, top, color=INK, alpha=0.16, lw=0)
    below.plot(x, middle, color=INK, lw=1.8)
    below.set(
        ylabel="predicted - true in dex", ylim=(-spread, spread), title=f"RMSE {method.scores['rmse_dex']:.2f} dex"
    )
    for ax in (above, below):
        ax.grid(color=GRID)
    return canvas


def _faded(hue: str) -> LinearSegmentedColormap:
    """From a trace of a colour to nearly all of it, by opacity, so that it stands on a light and on a dark page."""
    red, green, blue = to_rgb(hue)
    return LinearSegmentedColormap.from_list("faded", [(red, green, blue, 0.10), (red, green, blue, 0.95)])
