"""The figure of a search's parameters: how much each mattered, and a slice along each."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from spectral_search.drawing.figure import Figure, Layout, lacking
from spectral_search.drawing.plotting import GRID, INK, colour, cut, log_axis
from spectral_search.record.evidence import Run
from spectral_search.record.importance import MIN_TRIALS, Importance, importance, judged_trials, varied_keys
from spectral_search.record.run_records import TrialRecord
from spectral_search.record.wording import short_keys, short_value
from spectral_search.report.axis_limits import limit_axis
from spectral_search.spec.run import RunSpec
from spectral_search.task.metric import Metric

_MOST_SLICES = 8


def params_figure(run: Run, stage: str) -> Figure:
    """Importances and slices of a search; `stage` is one that varies something."""
    key, title = f"parameters_{run.name}", f"What mattered in {run.name}"
    trials, epoch = judged_trials(run.record)
    keys = varied_keys(trials)
    if not keys:
        return lacking(
            key, title, "This run varied nothing, or no trial is over.", f"spectral-search run {stage} --trials 30"
        )
    found = importance(run.record)
    order = sorted(keys, key=lambda name: -found.share.get(name, -1.0)) if found else keys
    caption = _caption(found, trials, epoch, order, run.record.objective)
    command = None if found else f"spectral-search resume {run.name} --trials {max(30, MIN_TRIALS)}"
    shown, space = order[:_MOST_SLICES], RunSpec.from_dict(run.record.spec).space
    logarithmic = {name for name in shown if name in space and space[name].is_log}
    return Figure(key, title, caption, lambda layout: _draw(layout, run, epoch, shown, logarithmic, found), command)


def _caption(
    found: Importance | None, trials: Sequence[TrialRecord], epoch: int, keys: Sequence[str], objective: Metric
) -> str:
    names = short_keys(list(keys))
    if found is None:
        first = (
            f"{len(trials)} trials are over; importances need at least {MIN_TRIALS}, so only the slices are shown. "
            f"Points: val {objective.shown} at epoch {epoch}, which all of them reached."
        )
    else:
        most, share = next(iter(found.share.items()))
        told = ", ".join(f"{names[key]} {part:.0%}" for key, part in list(found.share.items())[1:4] if key in names)
        first = (
            f"{names.get(most, most)} mattered most: {share:.0%} of what decides whether a trial is among the best "
            f"(Optuna's PED-ANOVA over {found.trials} trials, by val {objective.shown} at epoch {found.epoch}, "
            "which all reached)"
            f"{f'; then {told}' if told else ''}."
        )
    best = sorted(trials, key=lambda trial: -objective.gain(trial.values[epoch]))[: max(3, len(trials) // 5)]
    ranges = [
        f"{names[key]} {_range([trial.params[key] for trial in best if key in trial.params])}" for key in keys[:3]
    ]
    return f"{first} The {len(best)} best have {', '.join(ranges)}."


def _range(values: Sequence[Any]) -> str:
    if not values:
        return "unset"
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        low, high = short_value(min(values)), short_value(max(values))
        return low if low == high else f"{low} to {high}"
    texts = list(dict.fromkeys(short_value(value) for value in values))
    return " or ".join(texts[:3])


def _draw(
    layout: Layout,
    run: Run,
    epoch: int,
    keys: Sequence[str],
    logarithmic: set[str],
    found: Importance | None,
) -> Canvas:
    names, bars = short_keys(list(keys)), found is not None
    columns = 2 if len(keys) + bars in (2, 4) else 3
    canvas, axes = layout.panels(len(keys) + bars, 2.2, columns=columns)
    if found is not None:
        shares = [(names[key], found.share[key]) for key in keys if key in found.share]
        axes[0].barh([name for name, _ in shares], [part for _, part in shares], color=colour("MLP"), height=0.6)
        axes[0].invert_yaxis()
        axes[0].grid(axis="y", visible=False)
        axes[0].set(xlabel="importance", title="importance")
    (trials, _), objective = judged_trials(run.record), run.record.objective
    worst = min((trial.values[epoch] for trial in trials), key=objective.gain)
    for ax, key in zip(axes[int(bars) :], keys, strict=True):
        _slice(ax, [trial for trial in trials if key in trial.params], key, epoch, key in logarithmic, objective)
        ax.set_title(names[key])
        limit_axis(ax, objective, worst - objective.gain(6 * objective.tolerance))
    for place, ax in enumerate(axes[int(bars) :], int(bars)):
        if layout.narrow or place % columns == 0 or place == int(bars):
            ax.set_ylabel(f"val {objective.shown}, epoch {epoch}")
    return canvas


def _slice(ax: Axes, trials: Sequence[TrialRecord], key: str, epoch: int, log: bool, objective: Metric) -> None:
    values, scores = [trial.params[key] for trial in trials], [trial.values[epoch] for trial in trials]
    style: dict[str, Any] = {"s": 22, "color": colour("MLP"), "alpha": 0.75, "lw": 0}
    top = int(np.argmax([objective.gain(score) for score in scores]))
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        ax.scatter(values, scores, **style)
        ax.scatter([values[top]], [scores[top]], s=60, facecolor="none", edgecolor=INK, lw=1.4)
        if log:
            ax.set_xscale("log")
            log_axis(ax.xaxis, *ax.get_xlim(), short_value)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(4))
        return
    texts = list(dict.fromkeys(json.dumps(value) for value in sorted(values, key=str)))
    place = [texts.index(json.dumps(value)) for value in values]
    # Points of one choice side by side, in a fixed order, so that none hides another.
    offset = [0.12 * ((number % 5) - 2) for number in range(len(place))]
    x = [p + o for p, o in zip(place, offset, strict=True)]
    ax.scatter(x, scores, **style)
    ax.scatter([x[top]], [scores[top]], s=60, facecolor="none", edgecolor=INK, lw=1.4)
    ax.set_xticks(range(len(texts)), [cut(short_value(json.loads(text)), 12) for text in texts])
    if len(texts) > 3:
        ax.tick_params(axis="x", labelrotation=30)
    ax.set_xlim(-0.5, len(texts) - 0.5)
    ax.grid(axis="x", color=GRID)
