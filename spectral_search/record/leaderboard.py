"""The leaderboard of a run: trials by the objective that selected them, and what the winner scored afterwards."""

import statistics
import textwrap
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.record.gate_verdict import gate_verdict
from spectral_search.record.retest_verdict import early_values, seed_values, tied
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.record.seed_table import seed_lines
from spectral_search.record.wording import (
    Fitted,
    aligned,
    duration,
    fitting,
    more_with_json,
    params_text,
    short_keys,
    short_value,
)
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task


@dataclass(frozen=True)
class LeaderboardRow:
    """One trial; values holds each metric of its best epoch on the val set, by name, the objective as it ranks."""

    rank: int
    trial: int
    state: str
    values: dict[str, float | None]
    best_epoch: int | None
    epochs: int
    seconds: float | None
    params: dict[str, Any]
    error: str | None
    collapsed: str | None = None


def leaderboard(record: RunRecord, top: int | None = None) -> list[LeaderboardRow]:
    """The best trials, best first; trials that never reached a value come last.

    Args:
        record: The run.
        top: How many rows; all where absent.
    """
    return [_row(rank, trial, record.task) for rank, trial in enumerate(record.ranked()[:top], start=1)]


def _row(rank: int, trial: TrialRecord, task: Task) -> LeaderboardRow:
    values = {metric.name: trial.best_metrics.get(metric.val_name) for metric in task.metrics}
    return LeaderboardRow(
        rank=rank,
        trial=trial.number,
        state=trial.state,
        # Last, for a trial whose log is lost has no metrics, and yet the value that the study holds.
        values={**values, task.objective.name: trial.best_value},
        best_epoch=trial.best_epoch,
        epochs=trial.last_epoch,
        seconds=trial.seconds,
        params=trial.params,
        error=trial.error,
        collapsed=trial.collapsed,
    )


def render_leaderboard(record: RunRecord, top: int = 10) -> RenderableType:
    """The leaderboard for a terminal, plain ASCII, with a line that says which number is which."""
    rows, task = leaderboard(record, top), record.task
    title = Text(f"{record.paths.name}: {record.state}", style="bold")
    selected = f"val {task.objective.label}, {task.selected_on}: numbers used for selection"
    parts: list[RenderableType] = [title, Text(selected, style="dim")]
    if rows:
        parts.append(Fitted(lambda width: _table(rows, task, width)))
    left = len(record.trials) - len(rows)
    if left > 0:
        parts.append(Text(f"... and {left} more trial{'s' if left > 1 else ''}", style="dim"))
    parts.append(_summary(record))
    parts.extend(Text(line) for line in score_lines(record))
    parts.extend(Text(line) for line in seed_lines(record))
    parts.extend(Text(note, style="yellow") for note in caveats(record))
    parts.extend(Text(group.told, style="red") for group in record.failures)
    parts.extend(Text(paused.told, style="yellow") for paused in record.paused)
    parts.extend(Text(f"trial {row.trial} collapsed: {row.collapsed}", style="yellow") for row in rows if row.collapsed)
    parts.extend(Text(note, style="yellow") for note in record.notes)
    return Group(*parts)


def caveats(record: RunRecord) -> list[str]:
    """What keeps a run's numbers from being compared with others: its data, inputs and gates that are told too much."""
    params = [trial.params for trial in record.trials] or [{}]
    told = [f"data parts do not match: {text}" for text in record.mismatches]
    return told + record.task.caveats(record.spec, params)


def _columns(task: Task) -> list[str]:
    first, *others = (metric.headed for metric in task.metrics)
    return ["#", "trial", f"val {first}", "epoch", *others, "time", "state"]


def _table(rows: list[LeaderboardRow], task: Task, width: int) -> list[Text]:
    """A column for each parameter where they fit, else a line of parameters under each trial.

    Metrics that do not fit either are left out, the last first: `--json` has all of them.
    """
    keys = sorted({key for row in rows for key in row.params})
    names = list(short_keys(keys).values())
    styles = ["bold", *map(_style, rows)]
    columns, cells = _columns(task), [_cells(row, task) for row in rows]
    params = [[_param(row.params, key) for key in keys] for row in rows]
    # The state is the last of the columns, words as the parameters after it.
    left = frozenset(range(len(columns) - 1, len(columns) + len(keys)))
    lines = aligned([[*columns, *names], *(a + b for a, b in zip(cells, params, strict=True))], left)
    if max(map(len, lines)) <= width:
        return [Text(line, style=style) for line, style in zip(lines, styles, strict=True)]
    # Rank, trial, objective and epoch in front, time and state at the end stay whatever the width.
    metrics = range(4, len(columns) - 2)
    (header, *lines), hidden = fitting([columns, *cells], width, metrics, left)
    texts = [Text(header, style=styles[0])]
    for row, line, style in zip(rows, lines, styles[1:], strict=True):
        texts += [Text(line, style=style), *_indented(params_text(row.params), width, style)]
    if hidden:
        texts.append(more_with_json(hidden, "metric"))
    return texts


def _style(row: LeaderboardRow) -> str:
    if row.state == "failed":
        return "red"
    if row.collapsed:
        return "yellow"
    return "green" if row.rank == 1 and row.best_epoch is not None else ""


def _indented(text: str, width: int, style: str) -> list[Text]:
    wrapped = textwrap.wrap(text, max(20, width - 4), break_long_words=False, break_on_hyphens=False)
    return [Text(f"    {line}", style=style) for line in wrapped]


def _param(params: dict[str, Any], key: str) -> str:
    # Keys foreign to a trial's kind of model are absent, which is not the same as null.
    return short_value(params[key]) if key in params else ""


def _cells(row: LeaderboardRow, task: Task) -> list[str]:
    epoch = "-" if row.best_epoch is None else f"{row.best_epoch}/{row.epochs}"
    first, *others = (metric.number(row.values[metric.name]) for metric in task.metrics)
    state = "collapsed" if row.collapsed else row.state
    return [str(row.rank), str(row.trial), first, epoch, *others, duration(row.seconds), state]


def _summary(record: RunRecord) -> Text:
    spent = f"{record.epochs_trained} epochs in {duration(record.wall_seconds)}"
    return Text(f"trials: {record.counts or 'none yet'}; {spent}", style="dim")


def score_lines(record: RunRecord) -> list[str]:
    """What the winner scored in the re-test and on test data, where that was done."""
    retest, test, lines = record.retest, record.test, []
    task, objective = record.task, record.objective
    if retest and retest.get(objective.name) is not None:
        winner = "" if record.best is None else f" of trial {record.best.number}"
        interval = ""
        if retest.get("low") is not None and retest.get("high") is not None:
            low, high = objective.number(retest["low"]), objective.number(retest["high"])
            interval = f" (95% interval {low} to {high})"
        value = f"{objective.label} {objective.told(retest[objective.name])}{interval}"
        seen = "not used for selection" if task.redraws else "as it was selected"
        lines.append(f"re-test{winner}: {value}, val set, {task.retested_on}: {seen}")
        lines.extend(_seed_lines(retest, objective))
    if test and test.get(objective.name) is not None:
        known = [metric for metric in task.metrics if test.get(metric.name) is not None]
        told = ", ".join(f"{metric.label} {metric.told(test[metric.name])}" for metric in known)
        lines.append(f"test: {told}; test data, used once")
    if (gate := gate_verdict(record)) is not None:
        lines.append(gate.text)
    return lines


def _seed_lines(retest: dict[str, Any], objective: Metric) -> list[str]:
    """How much the seed matters, and which finalists cannot be told from the winner."""
    lines, values = [], seed_values(retest, objective)
    if len(values) > 1:
        told, spread = " ".join(map(objective.number, values)), objective.number(statistics.stdev(values))
        told += f", mean {objective.number(statistics.mean(values))}, standard deviation {spread}"
        lines.append(f"trained anew with other seeds: {objective.label} {told}")
    if early := early_values(retest, objective):
        lines.append(f"trained anew with other seeds and stopped early: {early.text} (its own first)")
    for failed in (seed for seed in retest.get("seeds", []) if seed.get("failure")):
        lines.append(f"trained anew with seed {failed['seed']} it failed: {failed['failure']}")
    if ties := tied(retest):
        trials = f"trials {', '.join(map(str, ties))}" if len(ties) > 1 else f"trial {ties[0]}"
        lines.append(f"a tie: {trials} cannot be told from the winner (the 95% interval of the difference holds 0)")
    return lines
