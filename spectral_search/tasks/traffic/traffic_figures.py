"""Figures of forecasts: a day of some sensors, errors by how far ahead they look, by sensor and by time of day.

Shape suffixes: N windows, S sensors, H steps to predict, O = S x H.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure as Canvas

from spectral_search.drawing.figure import Figure, Layout, lacking
from spectral_search.drawing.plotting import DASHES, INK, MARKERS, MUTED, colour, legend
from spectral_search.record.evidence import Evidence, Run
from spectral_search.record.kept_predictions import read_retests, read_val_labels
from spectral_search.record.methods import Method, leading, part_estimates
from spectral_search.record.resampling import Estimate
from spectral_search.record.tables import column
from spectral_search.task.measure import MaskedError
from spectral_search.tasks.traffic.definition import TASK
from spectral_search.tasks.traffic.section import HORIZON

_SHOWN_SENSORS = 4
_AHEAD = HORIZON // 2 - 1
"""The step of the forecasts in the picture of a day, counted from 0."""
_BAND = (0.05, 0.95)
_HOURS = 2
"""Of a bin of the time of day."""
_HOURS_APART = 4
"""Ticks of the picture of a day."""
_NOTHING = "No run holds forecasts for test windows."


def _minutes(evidence: Evidence) -> int:
    """Of a step, as the run recorded it."""
    return int(evidence.named[0].record.manifest.data.get("step_minutes", 5))


def _residual_band(run: Run) -> np.ndarray | None:
    """Quantiles of what the winner missed on val, by step, (2, H); None where the run keeps no such forecasts."""
    labels, best = read_val_labels(run.record.paths), run.record.best
    made = [retest for retest in read_retests(run.record.paths, TASK.objective) if best and retest.trial == best.number]
    if labels is None or not made:
        return None
    own = next((retest for retest in made if retest.own), made[0])
    missed_NSH = (column(labels, TASK.target) - own.predicted_DN[0]).reshape(len(labels), -1, HORIZON)
    return np.nanquantile(missed_NSH.astype(np.float64), _BAND, axis=(0, 1))


def day_figure(evidence: Evidence, methods: Sequence[Method]) -> Figure:
    """A day of the sensors that are hardest to foretell, with forecasts half an hour ahead."""
    key, title = "traffic_day", "A day of some sensors"
    lead = leading(methods)
    if lead is None or lead.labels is None:
        return lacking(key, title, _NOTHING, "spectral-search run traffic_stage1")
    run = next(run for run in evidence.named if run.name == lead.name)
    band_2H, minutes = _residual_band(run), _minutes(evidence)
    rows = min(24 * 60 // minutes, len(lead.target_N))
    first = _wildest(lead, rows)
    times_N = lead.labels["id"].to_numpy()[first : first + rows] + np.timedelta64(_AHEAD * minutes, "m")
    target_NS, predicted_NS = (
        values.reshape(len(values), -1, HORIZON)[first : first + rows, :, _AHEAD]
        for values in (lead.target_N, lead.predicted_N)
    )
    hardest = np.argsort(-np.nan_to_num(np.nanmean(np.abs(target_NS - predicted_NS), axis=0)))[:_SHOWN_SENSORS]
    ahead = (_AHEAD + 1) * minutes
    sure = ""
    if band_2H is not None:
        low, high = band_2H[:, _AHEAD]
        known_NS = np.isfinite(target_NS)
        inside = np.mean((np.abs(target_NS - predicted_NS - (low + high) / 2) <= (high - low) / 2)[known_NS])
        sure = f" The band holds nine tenths of what was missed on val; {inside:.0%} of this day's readings lie in it."
    caption = (
        f"What the {len(hardest)} sensors read that {lead.name} foretold worst that day, and what it said {ahead} "
        f"minutes before.{sure}"
    )

    def draw(layout: Layout) -> Canvas:
        canvas, axes = layout.panels(len(hardest), 1.9, columns=2, sharex=True, sharey=True)
        hour_N = (times_N - times_N[0].astype("datetime64[D]")) / np.timedelta64(1, "h")
        for ax, sensor in zip(axes, hardest, strict=True):
            if band_2H is not None:
                bounds = (predicted_NS[:, sensor] + edge for edge in band_2H[:, _AHEAD])
                ax.fill_between(hour_N, *bounds, color=colour(lead.family), alpha=0.2, linewidth=0)
            ax.plot(hour_N, target_NS[:, sensor], color=INK, linewidth=1.0, label="read")
            ax.plot(hour_N, predicted_NS[:, sensor], color=colour(lead.family), label=f"foretold {ahead} min before")
            ax.set_title(f"sensor {sensor}, counted from 0")
        ticks = np.arange(np.ceil(hour_N[0] / _HOURS_APART), hour_N[-1] / _HOURS_APART).astype(int) * _HOURS_APART
        axes[-1].set_xticks(ticks, [str(tick % 24) for tick in ticks])  # the others share them
        axes[-1].set_xlabel("hour of the day")
        legend(canvas, axes[0], layout)
        return canvas

    return Figure(key, title, caption, draw)


def _wildest(lead: Method, rows: int) -> int:
    """Where the day begins in which readings vary most."""
    spread_N = np.nan_to_num(np.nanstd(lead.target_N, axis=1))
    starts = range(0, len(spread_N) - rows + 1, max(1, rows // 4))
    return max(starts, key=lambda start: float(spread_N[start : start + rows].mean()))


def _by_step(method: Method) -> list[Estimate | None]:
    """The MAE of each step with its interval."""
    steps = []
    for step in range(HORIZON):
        measure = MaskedError(step=step, row=HORIZON, together=HORIZON)
        of_step = replace(method, objective=replace(method.objective, measure=measure))
        steps += part_estimates([of_step])
    return steps


def horizon_figure(methods: Sequence[Method]) -> Figure:
    """MAE against how far ahead a forecast looks."""
    key, title = "traffic_horizon", "Error by how far ahead"
    lead = leading(methods)
    if lead is None:
        return lacking(key, title, _NOTHING, "spectral-search run traffic_stage1")
    found = {method.name: _by_step(method) for method in methods}
    others = {name: steps[-1] for name, steps in found.items() if name != lead.name and steps[-1] is not None}
    mine = found[lead.name][-1]
    beside = ", ".join(f"{name} {one.value:.2f}" for name, one in others.items() if one is not None)
    caption = (
        f"At the last step {lead.name} has MAE {mine.value:.2f} ({mine.low:.2f} to {mine.high:.2f})" if mine else ""
    )
    caption += f"; beside it {beside}. " if beside else ". "
    caption += f"Bands are 95% intervals over blocks of {HORIZON} windows."
    rows = [["method", *(str(step + 1) for step in range(HORIZON))]]
    rows += [[name, *(f"{one.value:.2f}" if one else "-" for one in steps)] for name, steps in found.items()]

    def draw(layout: Layout) -> Canvas:
        canvas, (ax,) = layout.panels(1, 3.0, columns=1)
        for place, method in enumerate(methods):
            known = [(step + 1, one) for step, one in enumerate(found[method.name]) if one is not None]
            steps, hue = [step for step, _ in known], colour(method.family)
            ax.fill_between(
                steps, [one.low for _, one in known], [one.high for _, one in known], color=hue, alpha=0.15, linewidth=0
            )
            ax.plot(
                steps,
                [one.value for _, one in known],
                color=hue,
                linestyle=DASHES[place % len(DASHES)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=3,
                label=method.label,
            )
        ax.set_xlabel("step ahead")
        ax.set_ylabel("MAE")
        legend(canvas, ax, layout)
        return canvas

    return Figure(key, title, caption, draw, rows=rows)


def sensors_figure(evidence: Evidence, methods: Sequence[Method]) -> Figure:
    """MAE of the leading network by time of day and sensor."""
    key, title = "traffic_sensors", "Error by sensor and time of day"
    lead = leading(methods)
    if lead is None or lead.labels is None:
        return lacking(key, title, _NOTHING, "spectral-search run traffic_stage1")
    minutes = _minutes(evidence)
    error_NSH = np.abs(lead.predicted_N - lead.target_N).reshape(len(lead.target_N), -1, HORIZON)
    times_N = lead.labels["id"].to_numpy().astype("datetime64[m]")
    times_NH = times_N[:, None] + (np.arange(HORIZON) * minutes).astype("timedelta64[m]")
    bin_NH = ((times_NH - times_NH.astype("datetime64[D]")).astype(np.int64) // (60 * _HOURS)) % (24 // _HOURS)
    mean_SK = np.full((error_NSH.shape[1], 24 // _HOURS), np.nan)
    for place in range(24 // _HOURS):
        inside_NSH = np.broadcast_to((bin_NH == place)[:, None], error_NSH.shape) & np.isfinite(error_NSH)
        count_S = inside_NSH.sum((0, 2))
        sum_S = np.where(inside_NSH, error_NSH, 0.0).sum((0, 2))
        mean_SK[:, place] = np.where(count_S > 0, sum_S / np.maximum(count_S, 1), np.nan)
    whole_S = np.array([np.nanmean(mean_K) if np.isfinite(mean_K).any() else np.nan for mean_K in mean_SK])
    order = np.argsort(-np.nan_to_num(whole_S))
    hours = np.array([np.nanmean(mean_S) if np.isfinite(mean_S).any() else np.nan for mean_S in mean_SK.T])
    worst = int(np.nanargmax(hours))
    caption = (
        f"{lead.name} errs most between {worst * _HOURS} and {(worst + 1) * _HOURS} o'clock "
        f"(MAE {hours[worst]:.2f}), least at sensor {order[-1]} ({whole_S[order[-1]]:.2f}) and most at sensor "
        f"{order[0]} ({whole_S[order[0]]:.2f}). "
        "Sensors are ordered from the hardest down."
    )
    rows = [["sensor", "MAE", *(f"{place * _HOURS} h" for place in range(24 // _HOURS))]]
    for sensor in order[:_SHOWN_SENSORS]:
        cells = (f"{value:.2f}" if np.isfinite(value) else "-" for value in mean_SK[sensor])
        rows.append([str(sensor), f"{whole_S[sensor]:.2f}", *cells])

    def draw(layout: Layout) -> Canvas:
        canvas, (ax,) = layout.panels(1, 3.2, columns=1)
        image = ax.imshow(mean_SK[order], aspect="auto", interpolation="nearest", cmap="viridis")
        ax.set_xticks(range(0, 24 // _HOURS, 2), [str(place * _HOURS) for place in range(0, 24 // _HOURS, 2)])
        ax.set_xlabel("hour of the day")
        ax.set_ylabel("sensors, hardest first")
        ax.tick_params(colors=MUTED)
        ax.grid(visible=False)
        canvas.colorbar(image, ax=ax, label="MAE")
        return canvas

    return Figure(key, title, caption, draw, rows=rows)
