"""Figures of searches: learning curves, finalists under other noise and seeds, trials over time, cost and result."""

import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from spectral_search.record.method_scores import Method, Run
from spectral_search.record.retest_verdict import chosen_by_draw, early_values, seed_values, tied
from spectral_search.record.run_records import TrialRecord
from spectral_search.record.wording import duration
from spectral_search.report.figures import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    Figure,
    Layout,
    colour,
    lacking,
    legend,
    log_axis,
)
from spectral_search.report.verdicts import CNN_100K, MLP_100K, curve, listed, plateau_epoch, still_rising
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.rule import rule_of

FLOOR_R2 = -0.1
"""Curves are cut off below: what lies there differs only in how badly it began."""


def curves_figure(runs: Sequence[Run], family: str) -> Figure:
    """Val R2 and training loss against epoch for the runs of a family."""
    key, title = f"learning_curves_{family.lower().replace('-', '_')}", f"Learning curves: {family}"
    mine = [run for run in runs if run.family == family]
    if not mine:
        command = {"MLP": MLP_100K, "CNN": CNN_100K}.get(family, "spectral-search specs")
        return lacking(key, title, f"No run of this report searched a {family}.", command)
    caption = " ".join(map(_curve_sentence, mine)) + " Thin lines: the other trials."
    return Figure(key, title, caption, lambda layout: _draw_curves(layout, mine))


def _curve_sentence(run: Run) -> str:
    best, plateau = run.record.best, plateau_epoch(curve(run))
    if best is None or plateau is None:
        return f"{run.name} has no finished epoch."
    text = (
        f"{run.name}: trial {best.number} is best with val R² {best.best_val_r2:.3f} at epoch {best.best_epoch}"
        f"{still_rising(run)}, and within 0.005 of it from epoch {plateau} on"
    )
    losses = [row["train_loss"] for row in best.epochs if row.get("train_loss") is not None]
    after = best.last_epoch - (best.best_epoch or 0)
    if after >= 3 and len(losses) == best.last_epoch and losses[-1] < losses[(best.best_epoch or 1) - 1]:
        text += (
            f"; in the {after} epochs after it the training loss went on falling, to {losses[-1]:.2f}, "
            "and val R² did not rise: it overfits"
        )
    return text + "."


def _draw_curves(layout: Layout, runs: Sequence[Run]) -> Canvas:
    canvas, (above, below) = layout.panels(2, 2.9)
    for place, run in enumerate(runs):
        best, hue = run.record.best, colour(run.family)
        for trial in run.record.trials:
            if best is not None and trial.number != best.number:
                _line(above, trial, "val_r2", color=MUTED, lw=0.7, alpha=0.35)
                _line(below, trial, "train_loss", color=MUTED, lw=0.7, alpha=0.35)
        if best is not None:
            style = {"color": hue, "ls": DASHES[place % len(DASHES)], "lw": 1.8 if place < 4 else 1.0, "zorder": 3}
            _line(above, best, "val_r2", label=run.name, **style)
            _line(below, best, "train_loss", **style)
            if best.best_epoch is not None and best.best_val_r2 is not None:
                above.plot([best.best_epoch], [best.best_val_r2], "o", color=hue, ms=5, zorder=4)
    for ax in (above, below):
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    above.set(xlabel="epoch", ylabel="val R²")
    above.set_ylim(bottom=max(above.get_ylim()[0], FLOOR_R2))
    below.set(xlabel="epoch", ylabel="training loss (standardised log g)")
    legend(canvas, above, layout)
    return canvas


def _line(ax: Axes, trial: TrialRecord, key: str, **style: Any) -> None:
    points = [(row["epoch"], row[key]) for row in trial.epochs if row.get(key) is not None]
    if points:
        epochs, values = zip(*points, strict=True)
        ax.plot(epochs, values, marker="." if len(points) == 1 else None, **style)


def finalists_figure(run: Run) -> Figure:
    """What selected the finalists, and what they scored on fresh noise and with other seeds."""
    key, title = f"finalists_{run.name}", f"Finalists of {run.name}: selected and re-tested"
    retest = run.record.retest
    finalists = (retest or {}).get("finalists", [])
    if retest is None or not finalists:
        return lacking(key, title, "The run was not re-tested.", f"spectral-search resume {run.name}")
    rows = [["trial", "selected on val", "fresh noise", "95% interval", "seeds", "behind the winner"]]
    rows += [_finalist_row(entry) for entry in finalists]
    caption = _finalists_caption(retest)
    return Figure(key, title, caption, lambda layout: _draw_finalists(layout, finalists), rows=rows)


def _finalist_row(entry: dict[str, Any]) -> list[str]:
    values, behind = seed_values(entry), entry.get("behind")
    seeds = (
        f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f} ({len(values)})" if len(values) > 1 else "1"
    )
    against = "-"
    if behind:
        told = f"{behind['value']:+.3f} ({behind['low']:+.3f} to {behind['high']:+.3f})"
        against = f"{told}{', a tie' if entry.get('tied') else ''}"
    interval = f"{entry['low']:.3f} to {entry['high']:.3f}"
    return [str(entry["trial"]), f"{entry['val_r2']:.3f}", f"{entry['r2']:.3f}", interval, seeds, against]


def _finalists_caption(retest: dict[str, Any]) -> str:
    trial, change = retest["trial"], retest["r2"] - retest["val_r2"]
    luck = "the selected value was lucky" if retest["high"] < retest["val_r2"] else "within its interval"
    parts = [
        (
            f"Trial {trial} was selected with val R² {retest['val_r2']:.3f} and has {retest['r2']:.3f} on fresh noise "
            f"({retest['low']:.3f} to {retest['high']:.3f}): {change:+.3f}, {luck}."
        )
    ]
    values = seed_values(retest)
    if len(values) > 1:
        parts.append(
            f"Trained anew with {len(values) - 1} other seeds it has "
            f"{' and '.join(f'{value:.3f}' for value in values[1:])}: mean {statistics.mean(values):.3f}, "
            f"standard deviation {statistics.stdev(values):.3f}. A seed changes initialisation, dropout, order and "
            "training noise."
        )
    elif early := early_values(retest):
        parts.append(
            f"Trained anew with other seeds and stopped early, to cost no more than search.retest_share of the search: "
            f"{early.text} (its own first). A seed changes initialisation, dropout, order and training noise. Whole: "
            "spectral-search train CONFIG --seeds 3."
        )
    else:
        parts.append("It was trained with one seed only, so how much is luck is not known.")
    ties = tied(retest)
    if ties:
        parts.append(f"A tie: trial{'s' if len(ties) > 1 else ''} {', '.join(map(str, ties))} cannot be told from it.")
    elif len(retest["finalists"]) > 1 and "tied" in retest["finalists"][1]:
        parts.append("No other finalist ties with it.")
    chosen = chosen_by_draw(retest)
    if len(chosen) > 1:
        told = ", ".join(f"trial {trial} in {count}" for trial, count in chosen.items())
        parts.append(f"The choice depends on the noise: of {sum(chosen.values())} fresh draws, {told} would have won.")
    return " ".join(parts)


def _draw_finalists(layout: Layout, finalists: Sequence[dict[str, Any]]) -> Canvas:
    canvas = layout.canvas(1.2 + 0.5 * len(finalists))
    ax = canvas.subplots()
    for place, entry in enumerate(finalists):
        first = place == 0
        ax.plot([entry["low"], entry["high"]], [place, place], color=INK, lw=2, solid_capstyle="round")
        ax.plot([entry["r2"]], [place], "o", color=INK, ms=6, label="fresh noise, 95%" if first else None)
        draws = entry.get("r2_by_draw", [])
        ax.plot(draws, [place + 0.16] * len(draws), "|", color=MUTED, ms=8, label="each draw of it" if first else None)
        selected = "selected on val" if first else None
        ax.plot([entry["val_r2"]], [place], "D", mfc="none", mec=colour("CNN"), mew=1.6, ms=7, label=selected)
        others = seed_values(entry)[1:]
        label = "other seeds" if first and others else None
        ax.plot(others, [place - 0.16] * len(others), "s", color=colour("MLP"), ms=5, label=label)
    ax.set_yticks(range(len(finalists)), [f"trial {entry['trial']}" for entry in finalists])
    ax.set_ylim(len(finalists) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("R² on val spectra")
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


def cost_figure(runs: Sequence[Run], baselines: Sequence[Method]) -> Figure:
    """Training time against val R2 of every trial; baselines by their test R2."""
    key, title = "cost_against_result", "Cost against result"
    timed = [(run, trial) for run in runs for trial in run.record.trials if _is_timed(trial)]
    if not timed:
        return lacking(key, title, "No trial has a training time.", "spectral-search run step1")
    best_run, best = max(timed, key=lambda pair: pair[1].best_val_r2 or 0.0)
    goal = (best.best_val_r2 or 0.0) - 0.01
    near = [(run, t) for run, t in timed if (t.best_val_r2 or 0.0) >= goal]
    cheap_run, cheap = min(near, key=lambda pair: pair[1].seconds or 0.0)
    caption = (
        f"The best trial, {best.number} of {best_run.name}, took {duration(best.seconds)} of training for val R² "
        f"{best.best_val_r2:.3f}. "
    )
    if cheap is not best:
        caption += (
            f"Trial {cheap.number} of {cheap_run.name} came within 0.01 of it in {duration(cheap.seconds)}, "
            f"{(best.seconds or 0) / (cheap.seconds or 1):.1f} times less. "
        )
    total = sum(run.record.wall_seconds for run in runs)
    caption += f"All runs together took {duration(total)}, re-tests included. "
    caption += "The line joins the trials that nothing cheaper beats."
    rows = [
        ["run", "training spectra", "trials", "epochs", "wall time", "winner's training", "val R²"],
        *map(_cost, runs),
    ]
    return Figure(key, title, caption, lambda layout: _draw_cost(layout, timed, baselines), rows=rows)


def _is_timed(trial: TrialRecord) -> bool:
    return trial.seconds is not None and trial.best_val_r2 is not None and trial.best_val_r2 > FLOOR_R2


def _cost(run: Run) -> list[str]:
    best, record = run.record.best, run.record
    value = "-" if best is None or best.best_val_r2 is None else f"{best.best_val_r2:.3f}"
    spent = [str(len(record.trials)), str(record.epochs_trained), duration(record.wall_seconds)]
    return [run.name, f"{run.train_size:,}", *spent, duration(None if best is None else best.seconds), value]


def _draw_cost(layout: Layout, timed: Sequence[tuple[Run, TrialRecord]], baselines: Sequence[Method]) -> Canvas:
    canvas = layout.canvas(3.4)
    ax = canvas.subplots()
    for place, name in enumerate(dict.fromkeys(run.name for run, _ in timed)):
        mine = [(run, trial) for run, trial in timed if run.name == name]
        hue, marker = colour(mine[0][0].family), MARKERS[place % len(MARKERS)]
        x, y = [t.seconds or 0.0 for _, t in mine], [t.best_val_r2 or 0.0 for _, t in mine]
        ax.scatter(x, y, s=22, color=hue, alpha=0.7, marker=marker, lw=0, label=name)
    front: list[tuple[float, float]] = []
    for seconds, value in sorted((t.seconds or 0.0, t.best_val_r2 or 0.0) for _, t in timed):
        if not front or value > front[-1][1]:
            front.append((seconds, value))
    ax.step([x for x, _ in front], [y for _, y in front], where="post", color=INK, lw=1.0, ls=DASHES[1], zorder=1)
    for method in baselines:
        if method.train_seconds:
            hue = colour(method.family)
            ax.plot([method.train_seconds], [method.r2_value], "v", color=hue, ms=7, label=f"{method.label} (test)")
    ax.set_xscale("log")
    log_axis(ax.xaxis, *ax.get_xlim(), lambda seconds: f"{seconds:g}" if seconds < 1e4 else f"{seconds:.0e}")
    ax.set(xlabel="training time in seconds", ylabel="best val R²")
    legend(canvas, ax, layout)
    return canvas
