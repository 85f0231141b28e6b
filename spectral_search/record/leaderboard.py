"""The leaderboard of a run: trials by the val R2 that selected them, and what the winner scored afterwards."""

import statistics
import textwrap
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.record.retest_verdict import early_values, seed_values, tied
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.record.wording import Fitted, aligned, duration, number, params_text, short_keys, short_value
from spectral_search.spec.data import LEAKY_INPUTS


@dataclass(frozen=True)
class LeaderboardRow:
    """One trial; val_* are values of its best epoch, under frozen noise."""

    rank: int
    trial: int
    state: str
    val_r2: float | None
    best_epoch: int | None
    epochs: int
    val_mae_dex: float | None
    val_rmse_dex: float | None
    seconds: float | None
    params: dict[str, Any]
    error: str | None
    collapsed: str | None = None


def leaderboard(record: RunRecord, top: int | None = None) -> list[LeaderboardRow]:
    """The best trials, best first; trials that never reached a val R2 come last.

    Args:
        record: The run.
        top: How many rows; all where absent.
    """
    return [_row(rank, trial) for rank, trial in enumerate(record.ranked()[:top], start=1)]


def _row(rank: int, trial: TrialRecord) -> LeaderboardRow:
    metrics = trial.best_metrics
    return LeaderboardRow(
        rank=rank,
        trial=trial.number,
        state=trial.state,
        val_r2=trial.best_val_r2,
        best_epoch=trial.best_epoch,
        epochs=trial.last_epoch,
        val_mae_dex=metrics.get("val_mae_dex"),
        val_rmse_dex=metrics.get("val_rmse_dex"),
        seconds=trial.seconds,
        params=trial.params,
        error=trial.error,
        collapsed=trial.collapsed,
    )


def render_leaderboard(record: RunRecord, top: int = 10) -> RenderableType:
    """The leaderboard for a terminal, plain ASCII, with a line that says which number is which."""
    rows = leaderboard(record, top)
    title = Text(f"{record.paths.name}: {record.state}", style="bold")
    parts: list[RenderableType] = [title, Text("val R2, frozen noise: numbers used for selection", style="dim")]
    if rows:
        parts.append(Fitted(lambda width: _table(rows, width)))
    left = len(record.trials) - len(rows)
    if left > 0:
        parts.append(Text(f"... and {left} more trial{'s' if left > 1 else ''}", style="dim"))
    parts.append(_summary(record))
    parts.extend(Text(line) for line in score_lines(record))
    parts.extend(Text(note, style="yellow") for note in caveats(record))
    parts.extend(Text(f"trial {row.trial} failed: {row.error}", style="red") for row in rows if row.error)
    parts.extend(Text(f"trial {row.trial} collapsed: {row.collapsed}", style="yellow") for row in rows if row.collapsed)
    parts.extend(Text(note, style="yellow") for note in record.notes)
    return Group(*parts)


def caveats(record: RunRecord) -> list[str]:
    """What keeps a run's numbers from being compared with others: its data, inputs and gates that are told too much."""
    params = [trial.params for trial in record.trials] or [{}]
    base_input = record.spec.get("data", {}).get("input", {}).get("kind")
    base_gate = record.spec.get("model", {}).get("gate")
    inputs = {trial.get("data.input.kind", base_input) for trial in params}
    notes = [f"data parts do not match: {text}" for text in record.mismatches]
    if leaky := sorted(inputs & LEAKY_INPUTS):
        notes.append(f"leaky input {', '.join(leaky)}: the error array gives log g away; no comparison with flux alone")
    if "oracle" in {trial.get("model.gate", base_gate) for trial in params}:
        notes.append("oracle gate: it is told the true T_eff and [M/H] bin; a bound, not a method")
    return notes


_COLUMNS = ("#", "trial", "val R2", "epoch", "MAE dex", "RMSE dex", "time", "state")
_STATE_COLUMN = _COLUMNS.index("state")


def _table(rows: list[LeaderboardRow], width: int) -> list[Text]:
    """A column for each parameter where they fit, else a line of parameters under each trial."""
    keys = sorted({key for row in rows for key in row.params})
    names = list(short_keys(keys).values())
    styles = ["bold", *map(_style, rows)]
    wide = [[*_cells(row), *(_param(row.params, key) for key in keys)] for row in rows]
    left = frozenset(range(_STATE_COLUMN, len(_COLUMNS) + len(keys)))
    lines = aligned([[*_COLUMNS, *names], *wide], left)
    if max(map(len, lines)) <= width:
        return [Text(line, style=style) for line, style in zip(lines, styles, strict=True)]
    header, *lines = aligned([_COLUMNS, *map(_cells, rows)], left)
    texts = [Text(header, style=styles[0])]
    for row, line, style in zip(rows, lines, styles[1:], strict=True):
        texts += [Text(line, style=style), *_indented(params_text(row.params), width, style)]
    return texts


def _style(row: LeaderboardRow) -> str:
    if row.state == "failed":
        return "red"
    if row.collapsed:
        return "yellow"
    return "green" if row.rank == 1 and row.val_r2 is not None else ""


def _indented(text: str, width: int, style: str) -> list[Text]:
    wrapped = textwrap.wrap(text, max(20, width - 4), break_long_words=False, break_on_hyphens=False)
    return [Text(f"    {line}", style=style) for line in wrapped]


def _param(params: dict[str, Any], key: str) -> str:
    # Keys foreign to a trial's kind of model are absent, which is not the same as null.
    return short_value(params[key]) if key in params else ""


def _cells(row: LeaderboardRow) -> list[str]:
    epoch = "-" if row.best_epoch is None else f"{row.best_epoch}/{row.epochs}"
    numbers = [number(row.val_r2), epoch, number(row.val_mae_dex), number(row.val_rmse_dex)]
    return [str(row.rank), str(row.trial), *numbers, duration(row.seconds), "collapsed" if row.collapsed else row.state]


def _summary(record: RunRecord) -> Text:
    spent = f"{record.epochs_trained} epochs in {duration(record.wall_seconds)}"
    return Text(f"trials: {record.counts or 'none yet'}; {spent}", style="dim")


def score_lines(record: RunRecord) -> list[str]:
    """What the winner scored on fresh noise and on test data, where that was done."""
    retest, test, lines = record.retest, record.test, []
    if retest and retest.get("r2") is not None:
        winner = "" if record.best is None else f" of trial {record.best.number}"
        interval = ""
        if retest.get("low") is not None and retest.get("high") is not None:
            interval = f" (95% interval {retest['low']:.4f} to {retest['high']:.4f})"
        lines.append(f"re-test{winner}: R2 {retest['r2']:.4f}{interval}, val set, fresh noise: not used for selection")
        lines.extend(_seed_lines(retest))
    if test and test.get("r2") is not None:
        errors = [f"{label} {test[key]:.4f} dex" for label, key in _TEST_ERRORS if test.get(key) is not None]
        lines.append("test: " + ", ".join([f"R2 {test['r2']:.4f}", *errors]) + "; test data, used once")
    return lines


def _seed_lines(retest: dict[str, Any]) -> list[str]:
    """How much the seed matters, and which finalists cannot be told from the winner."""
    lines, values = [], seed_values(retest)
    if len(values) > 1:
        told = " ".join(f"{value:.4f}" for value in values)
        mean, spread = statistics.mean(values), statistics.stdev(values)
        lines.append(f"trained anew with other seeds: R2 {told}, mean {mean:.4f}, standard deviation {spread:.4f}")
    if early := early_values(retest):
        lines.append(f"trained anew with other seeds and stopped early: {early.text} (its own first)")
    for failed in (seed for seed in retest.get("seeds", []) if seed.get("failure")):
        lines.append(f"trained anew with seed {failed['seed']} it failed: {failed['failure']}")
    if ties := tied(retest):
        trials = f"trials {', '.join(map(str, ties))}" if len(ties) > 1 else f"trial {ties[0]}"
        lines.append(f"a tie: {trials} cannot be told from the winner (the 95% interval of the difference holds 0)")
    return lines


_TEST_ERRORS = (("MAE", "mae_dex"), ("RMSE", "rmse_dex"))
