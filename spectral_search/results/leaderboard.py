"""The leaderboard of a run: trials by the val R2 that selected them, and what the winner scored afterwards."""

import json
import math
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.results.records import RunRecord, TrialRecord


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
    )


def short_keys(keys: list[str]) -> dict[str, str]:
    """The shortest ending of each dotted key that no other key shares: fit.lr is lr, unless model.lr is there too."""
    short: dict[str, str] = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-size:]) for size in range(1, len(parts) + 1)]
        free = [end for end in endings if not any(other != key and f".{other}".endswith(f".{end}") for other in keys)]
        short[key] = free[0] if free else key
    return short


def short_value(value: object) -> str:
    """A parameter as a person would write it, in at most 24 characters."""
    if isinstance(value, bool) or value is None:
        text = json.dumps(value)
    elif isinstance(value, float):
        # Only magnitudes outside 0.001 to 10,000 read better with an exponent.
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        scientific = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        text = f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else scientific
    elif isinstance(value, list | tuple):
        text = "[" + ",".join(short_value(item) for item in value) + "]"
    else:
        text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."


def duration(seconds: float | None) -> str:
    """Seconds as 8 s, 12 min, 3 h 05, 2 d 04 h."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    total = max(0, round(seconds))
    if total < 100:
        return f"{total} s"
    if total < 100 * 60:
        return f"{total / 60:.0f} min"
    if total < 48 * 3600:
        return f"{total // 3600} h {total % 3600 // 60:02d}"
    return f"{total // 86400} d {total % 86400 // 3600:02d} h"


def render_leaderboard(record: RunRecord, top: int = 10) -> RenderableType:
    """The leaderboard for a terminal, plain ASCII, with a line that says which number is which."""
    rows = leaderboard(record, top)
    title = Text(f"{record.paths.name}: {record.state}", style="bold")
    parts: list[RenderableType] = [title, Text("val R2, frozen noise: numbers used for selection", style="dim")]
    if rows:
        parts.append(_table(rows))
    left = len(record.trials) - len(rows)
    if left > 0:
        parts.append(Text(f"... and {left} more trial{'s' if left > 1 else ''}", style="dim"))
    parts.append(_summary(record))
    parts.extend(Text(line) for line in score_lines(record))
    parts.extend(Text(f"trial {row.trial} failed: {row.error}", style="red") for row in rows if row.error)
    parts.extend(Text(note, style="yellow") for note in record.notes)
    return Group(*parts)


def _table(rows: list[LeaderboardRow]) -> Table:
    keys = sorted({key for row in rows for key in row.params})
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("#", "trial", "val R2", "epoch", "MAE dex", "RMSE dex", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in short_keys(keys).values():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row), *(_param(row.params, key) for key in keys), style="green" if row.rank == 1 else "")
    return table


def _param(params: dict[str, Any], key: str) -> str:
    # Keys foreign to a trial's kind of model are absent, which is not the same as null.
    return short_value(params[key]) if key in params else ""


def _cells(row: LeaderboardRow) -> list[str]:
    epoch = "-" if row.best_epoch is None else f"{row.best_epoch}/{row.epochs}"
    numbers = [_number(row.val_r2), epoch, _number(row.val_mae_dex), _number(row.val_rmse_dex)]
    return [str(row.rank), str(row.trial), *numbers, duration(row.seconds), row.state]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _summary(record: RunRecord) -> Text:
    states = ("complete", "stopped", "failed", "running", "waiting")
    counts = ", ".join(f"{record.count(state)} {state}" for state in states if record.count(state))
    spent = f"{record.epochs_trained} epochs in {duration(record.wall_seconds)}"
    return Text(f"trials: {counts or 'none yet'}; {spent}", style="dim")


def score_lines(record: RunRecord) -> list[str]:
    """What the winner scored on fresh noise and on test data, where that was done."""
    retest, test, lines = record.manifest.retest, record.manifest.test, []
    if retest and retest.get("r2") is not None:
        winner = "" if record.best is None else f" of trial {record.best.number}"
        interval = ""
        if retest.get("low") is not None and retest.get("high") is not None:
            interval = f" (95% interval {retest['low']:.4f} to {retest['high']:.4f})"
        lines.append(f"re-test{winner}: R2 {retest['r2']:.4f}{interval}, val set, fresh noise: not used for selection")
    if test and test.get("r2") is not None:
        errors = [f"{label} {test[key]:.4f} dex" for label, key in _TEST_ERRORS if test.get(key) is not None]
        lines.append("test: " + ", ".join([f"R2 {test['r2']:.4f}", *errors]) + "; test data, used once")
    return lines


_TEST_ERRORS = (("MAE", "mae_dex"), ("RMSE", "rmse_dex"))
