"""Figures of searches: learning curves, finalists under other noise and seeds, trials over time, cost and result."""

import re
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from spectral_search.drawing.figure import Figure, Layout, lacking
from spectral_search.drawing.plotting import DASHES, INK, MARKERS, MUTED, colour, legend, log_axis
from spectral_search.record.evidence import Run, plateau_epoch
from spectral_search.record.finding import listed
from spectral_search.record.methods import Method
from spectral_search.record.retest_verdict import chosen_by_draw, early_values, seed_values, tied
from spectral_search.record.run_records import TrialRecord
from spectral_search.record.wording import duration
from spectral_search.report.axis_limits import limit_axis
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.rule import rule_of
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task


def curves_figure(runs: Sequence[Run], family: str, command: str | None = None) -> Figure:
    """The objective on val and the training loss against epoch for the runs of a family.

    Args:
        runs: Of all families.
        family: Which.
        command: What would search one.
    """
    key = f"learning_curves_{re.sub('[^a-z0-9]+', '_', family.lower())}"
    title = f"Learning curves: {family}"
    mine = [run for run in runs if run.family == family]
    if not mine:
        return lacking(key, title, f"No run of this report searched a {family}.", command or "spectral-search specs")
    caption = " ".join(map(_curve_sentence, mine)) + " Thin lines: the other trials."
    return Figure(key, title, caption, lambda layout: _draw_curves(layout, mine))


def _curve_sentence(run: Run) -> str:
    best, objective = run.record.best, run.record.objective
    plateau = plateau_epoch(run.curve, objective)
    if best is None or plateau is None:
        return f"{run.name} has no finished epoch."
    text = (
        f"{run.name}: trial {best.number} is best with val {objective.shown} {best.best_value:.3f} at epoch "
        f"{best.best_epoch}{run.still_rising}, and within {objective.tolerance:g} of it from epoch {plateau} on"
    )
    losses = [row["train_loss"] for row in best.epochs if row.get("train_loss") is not None]
    after = best.last_epoch - (best.best_epoch or 0)
    if after >= 3 and len(losses) == best.last_epoch and losses[-1] < losses[(best.best_epoch or 1) - 1]:
        text += (
            f"; in the {after} epochs after it the training loss went on falling, to {losses[-1]:.2f}, "
            f"and val {objective.shown} did not {'rise' if objective.higher_is_better else 'fall'}: it overfits"
        )
    return text + "."


def _draw_curves(layout: Layout, runs: Sequence[Run]) -> Canvas:
    canvas, (above, below) = layout.panels(2, 2.9)
    for place, run in enumerate(runs):
        best, hue = run.record.best, colour(run.family)
        for trial in run.record.trials:
            if best is not None and trial.number != best.number:
                _line(above, trial.values, color=MUTED, lw=0.7, alpha=0.35)
                _line(below, _losses(trial), color=MUTED, lw=0.7, alpha=0.35)
        if best is not None:
            style = {"color": hue, "ls": DASHES[place % len(DASHES)], "lw": 1.8 if place < 4 else 1.0, "zorder": 3}
            _line(above, best.values, label=run.name, **style)
            _line(below, _losses(best), **style)
            if best.best_epoch is not None and best.best_value is not None:
                above.plot([best.best_epoch], [best.best_value], "o", color=hue, ms=5, zorder=4)
    for ax in (above, below):
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    task = runs[0].record.task
    above.set(xlabel="epoch", ylabel=f"val {task.objective.shown}")
    limit_axis(above, task.objective)
    of = f" ({task.training_target})" if task.training_target else ""
    below.set(xlabel="epoch", ylabel=f"training loss{of}")
    legend(canvas, above, layout)
    return canvas


def _losses(trial: TrialRecord) -> dict[int, float]:
    return {row["epoch"]: row["train_loss"] for row in trial.epochs if row.get("train_loss") is not None}


def _line(ax: Axes, values: dict[int, float], **style: Any) -> None:
    if values:
        points = sorted(values.items())
        ax.plot(*zip(*points, strict=True), marker="." if len(points) == 1 else None, **style)


def finalists_figure(run: Run) -> Figure:
    """What selected the finalists, and what they scored in the re-test and with other seeds."""
    key, title = f"finalists_{run.name}", f"Finalists of {run.name}: selected and re-tested"
    retest = run.record.retest
    finalists = (retest or {}).get("finalists", [])
    if retest is None or not finalists:
        return lacking(key, title, "The run was not re-tested.", f"spectral-search resume {run.name}")
    task = run.record.task
    rows = [["trial", "selected on val", task.retested_on, "95% interval", "seeds", "behind the winner"]]
    rows += [_finalist_row(entry, task.objective) for entry in finalists]
    caption = _finalists_caption(retest, task)
    return Figure(key, title, caption, lambda layout: _draw_finalists(layout, finalists, task), rows=rows)


def _finalist_row(entry: dict[str, Any], objective: Metric) -> list[str]:
    values, behind = seed_values(entry, objective), entry.get("behind")
    seeds = (
        f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f} ({len(values)})" if len(values) > 1 else "1"
    )
    against = "-"
    if behind:
        told = f"{behind['value']:+.3f} ({behind['low']:+.3f} to {behind['high']:+.3f})"
        against = f"{told}{', a tie' if entry.get('tied') else ''}"
    interval = f"{entry['low']:.3f} to {entry['high']:.3f}"
    selected, value = f"{entry[objective.val_name]:.3f}", f"{entry[objective.name]:.3f}"
    return [str(entry["trial"]), selected, value, interval, seeds, against]


def _finalists_caption(retest: dict[str, Any], task: Task) -> str:
    objective, trial = task.objective, retest["trial"]
    selected, value = retest[objective.val_name], retest[objective.name]
    end = retest["high" if objective.higher_is_better else "low"]
    luck = "the selected value was lucky" if objective.better(selected, end) else "within its interval"
    parts = [
        (
            f"Trial {trial} was selected with val {objective.shown} {selected:.3f} and has {value:.3f} on "
            f"{task.retested_on} ({retest['low']:.3f} to {retest['high']:.3f}): {value - selected:+.3f}, {luck}."
        )
    ]
    values, changes = (
        seed_values(retest, objective),
        "A seed changes initialisation, dropout, order and training noise.",
    )
    if len(values) > 1:
        parts.append(
            f"Trained anew with {len(values) - 1} other seeds it has "
            f"{' and '.join(f'{value:.3f}' for value in values[1:])}: mean {statistics.mean(values):.3f}, "
            f"standard deviation {statistics.stdev(values):.3f}. {changes}"
        )
    elif early := early_values(retest, objective):
        parts.append(
            f"Trained anew with other seeds and stopped early, to cost no more than search.retest_share of the search: "
            f"{early.text} (its own first). {changes} Whole: "
            "spectral-search train CONFIG --seeds 3."
        )
    else:
        parts.append("It was trained with one seed only, so how much is luck is not known.")
    ties = tied(retest)
    if ties:
        parts.append(f"A tie: trial{'s' if len(ties) > 1 else ''} {', '.join(map(str, ties))} cannot be told from it.")
    elif len(retest["finalists"]) > 1 and "tied" in retest["finalists"][1]:
        parts.append("No other finalist ties with it.")
    chosen = chosen_by_draw(retest, objective)
    if len(chosen) > 1 and task.redraws:
        told, draws = ", ".join(f"trial {trial} in {count}" for trial, count in chosen.items()), sum(chosen.values())
        parts.append(f"The choice depends on the draw: of {draws} of {task.retested_on}, {told} would have won.")
    return " ".join(parts)


def _draw_finalists(layout: Layout, finalists: Sequence[dict[str, Any]], task: Task) -> Canvas:
    objective = task.objective
    canvas = layout.canvas(1.2 + 0.5 * len(finalists))
    ax = canvas.subplots()
    for place, entry in enumerate(finalists):
        first = place == 0
        ax.plot([entry["low"], entry["high"]], [place, place], color=INK, lw=2, solid_capstyle="round")
        label = f"{task.retested_on}, 95%" if first else None
        ax.plot([entry[objective.name]], [place], "o", color=INK, ms=6, label=label)
        draws = entry.get(f"{objective.name}_by_draw", []) if task.redraws else []
        ax.plot(draws, [place + 0.16] * len(draws), "|", color=MUTED, ms=8, label="each draw of it" if first else None)
        selected = "selected on val" if first else None
        value = entry[objective.val_name]
        ax.plot([value], [place], "D", mfc="none", mec=colour("CNN"), mew=1.6, ms=7, label=selected)
        others = seed_values(entry, objective)[1:]
        label = "other seeds" if first and others else None
        ax.plot(others, [place - 0.16] * len(others), "s", color=colour("MLP"), ms=5, label=label)
    ax.set_yticks(range(len(finalists)), [f"trial {entry['trial']}" for entry in finalists])
    ax.set_ylim(len(finalists) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel(f"{objective.shown} on val {task.examples}")
    legend(canvas, ax, layout)
    return canvas


def timeline_figure(run: Run) -> Figure:
    """When trials began and were over, waiting at a rung included, and how far they came, with the rungs."""
    key, title = f"trials_{run.name}", f"Trials of {run.name} over time"
    trials = [trial for trial in run.record.trials if trial.epochs]
    if not trials:
        return lacking(key, title, "No trial has finished an epoch.", f"spectral-search resume {run.name}")
    spec = RunSpec.from_dict(run.record.spec)
    rule = rule_of(spec)
    rungs = rule.rungs(spec.fit.epochs)
    counts = {state: sum(trial.state == state for trial in trials) for state in ("complete", "stopped", "failed")}
    spent, full = sum(trial.last_epoch for trial in trials), len(trials) * spec.fit.epochs
    order = sorted(trials, key=lambda trial: trial.number)
    best_at = next(
        (place for place, trial in enumerate(order, 1) if run.record.best and trial.number == run.record.best.number), 0
    )
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    saved = f"{spent} of {full} epochs were trained ({spent / full:.0%})" if full else f"{spent} epochs were trained"
    where = (
        f"rungs after epoch {listed(list(map(str, rungs)))}" if rungs else "no rungs: nothing was stopped for another"
    )
    caption = (
        f"{len(trials)} trials, {told}; {saved}; {where}. The winner was trial {best_at} of {len(trials)} to be "
        f"proposed{': later ones did not beat it' if 0 < best_at <= len(trials) // 2 else ''}."
    )
    if rungs and rule.waits:
        caption += " A trial that waits at a rung has its bar go on."
    return Figure(key, title, caption, lambda layout: _draw_timeline(layout, run, order, rungs))


_STATE_COLOURS = {"complete": "ViT", "stopped": "Ridge", "failed": "CNN"}


def _draw_timeline(layout: Layout, run: Run, trials: Sequence[TrialRecord], rungs: Sequence[int]) -> Canvas:
    height = 1.3 + 0.12 * max(8, min(60, len(trials)))
    canvas, (left, right) = layout.panels(2, height)
    began = [trial.began.timestamp() for trial in trials if trial.began is not None]
    start = min(began, default=0.0)
    ends = [trial.ended.timestamp() for trial in trials if trial.ended is not None]
    unit, name = _time_unit(max(ends, default=start) - start)
    seen: set[str] = set()
    for place, trial in enumerate(trials):
        hue = colour(_STATE_COLOURS.get(trial.state, "MLP"))
        winner = run.record.best is not None and trial.number == run.record.best.number
        label = trial.state if trial.state not in seen else None
        seen.add(trial.state)
        right.barh(place, trial.last_epoch, height=0.72, color=hue, alpha=1.0 if winner else 0.55, label=label)
        if trial.began is not None and trial.ended is not None:
            x = (trial.began.timestamp() - start) / unit
            wide = max((trial.ended.timestamp() - trial.began.timestamp()) / unit, 1e-9)
            left.barh(place, wide, left=x, height=0.72, color=hue, alpha=1.0 if winner else 0.55)
        if winner:
            right.plot([trial.last_epoch], [place], marker="*", color=INK, ms=9, clip_on=False, ls="", label="winner")
    for rung in rungs:
        right.axvline(rung, color=INK, lw=1.0, ls=DASHES[2], label="rung" if rung == rungs[0] else None)
    for ax in (left, right):
        ax.set_ylim(len(trials) - 0.4, -0.6)
        ax.grid(axis="y", visible=False)
        ax.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    left.set(xlabel=f"{name} since the first trial", ylabel="trial")
    right.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    right.set(xlabel="epochs trained", ylabel="trial" if layout.narrow else "")
    legend(canvas, right, layout)
    return canvas


def _time_unit(seconds: float) -> tuple[float, str]:
    for unit, name in ((3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            return unit, name
    return 1.0, "seconds"


def cost_figure(runs: Sequence[Run], baselines: Sequence[Method], stage: str) -> Figure:
    """Training time against the best value of every trial; baselines by their value on test.

    Args:
        runs: With their trials.
        baselines: To be shown beside them.
        stage: One to begin with, where there is nothing.
    """
    key, title = "cost_against_result", "Cost against result"
    task = runs[0].record.task
    objective, slack = task.objective, 2 * task.objective.tolerance
    timed = [(run, trial) for run in runs for trial in run.record.trials if _is_timed(trial, objective)]
    if not timed:
        return lacking(key, title, "No trial has a training time.", f"spectral-search run {stage}")
    best_run, best = max(timed, key=lambda pair: objective.gain(_best(pair[1])))
    goal = _best(best) - objective.gain(slack)
    near = [(run, trial) for run, trial in timed if objective.reaches(_best(trial), goal)]
    cheap_run, cheap = min(near, key=lambda pair: pair[1].seconds or 0.0)
    caption = (
        f"The best trial, {best.number} of {best_run.name}, took {duration(best.seconds)} of training for val "
        f"{objective.shown} {best.best_value:.3f}. "
    )
    if cheap is not best:
        caption += (
            f"Trial {cheap.number} of {cheap_run.name} came within {slack:g} of it in {duration(cheap.seconds)}, "
            f"{(best.seconds or 0) / (cheap.seconds or 1):.1f} times less. "
        )
    total = sum(run.record.wall_seconds for run in runs)
    caption += f"All runs together took {duration(total)}, re-tests included. "
    caption += "The line joins the trials that nothing cheaper beats."
    rows = [
        [
            "run",
            f"training {task.examples}",
            "trials",
            "epochs",
            "wall time",
            "winner's training",
            f"val {objective.shown}",
        ],
        *map(_cost, runs),
    ]
    return Figure(key, title, caption, lambda layout: _draw_cost(layout, timed, baselines, objective), rows=rows)


def _best(trial: TrialRecord) -> float:
    return trial.best_value or 0.0


def _is_timed(trial: TrialRecord, objective: Metric) -> bool:
    """Whether a trial has a time, and a value that is drawn."""
    if trial.seconds is None or trial.best_value is None:
        return False
    return objective.drawn_from is None or objective.better(trial.best_value, objective.drawn_from)


def _cost(run: Run) -> list[str]:
    best, record = run.record.best, run.record
    value = "-" if best is None or best.best_value is None else f"{best.best_value:.3f}"
    spent = [str(len(record.trials)), str(record.epochs_trained), duration(record.wall_seconds)]
    return [run.name, f"{run.train_size:,}", *spent, duration(None if best is None else best.seconds), value]


def _draw_cost(
    layout: Layout, timed: Sequence[tuple[Run, TrialRecord]], baselines: Sequence[Method], objective: Metric
) -> Canvas:
    canvas = layout.canvas(3.4)
    ax = canvas.subplots()
    for place, name in enumerate(dict.fromkeys(run.name for run, _ in timed)):
        mine = [(run, trial) for run, trial in timed if run.name == name]
        hue, marker = colour(mine[0][0].family), MARKERS[place % len(MARKERS)]
        x, y = [t.seconds or 0.0 for _, t in mine], [_best(t) for _, t in mine]
        ax.scatter(x, y, s=22, color=hue, alpha=0.7, marker=marker, lw=0, label=name)
    front: list[tuple[float, float]] = []
    for seconds, value in sorted((t.seconds or 0.0, _best(t)) for _, t in timed):
        if not front or objective.better(value, front[-1][1]):
            front.append((seconds, value))
    ax.step([x for x, _ in front], [y for _, y in front], where="post", color=INK, lw=1.0, ls=DASHES[1], zorder=1)
    for method in baselines:
        if method.train_seconds:
            hue = colour(method.family)
            ax.plot([method.train_seconds], [method.value], "v", color=hue, ms=7, label=f"{method.label} (test)")
    ax.set_xscale("log")
    log_axis(ax.xaxis, *ax.get_xlim(), lambda seconds: f"{seconds:g}" if seconds < 1e4 else f"{seconds:.0e}")
    ax.set(xlabel="training time in seconds", ylabel=f"best val {objective.shown}")
    legend(canvas, ax, layout)
    return canvas
