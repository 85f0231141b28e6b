"""How numbers, parameters and tables are worded for a terminal: short, plain ASCII, fitted to the width."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.text import Text

_LONGEST_VALUE = 24


@dataclass(frozen=True)
class Fitted:
    """A renderable that is told the width first, so that it can choose its layout by it."""

    lines: Callable[[int], Iterable[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[Text]:
        return self.lines(options.max_width)


def cropped(text: str, width: int) -> str:
    """The text, its end replaced by three dots where it is longer than the width."""
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."


def aligned(rows: Sequence[Sequence[str]], left: frozenset[int] = frozenset()) -> list[str]:
    """Rows as lines of equal columns, two blanks apart, no blanks at the end.

    Args:
        rows: Cells, the same number in each row.
        left: Numbers of the columns that are flush left; the others are flush right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return lines


def fitting(
    rows: Sequence[Sequence[str]], width: int, spare: Sequence[int], left: frozenset[int] = frozenset()
) -> tuple[list[str], int]:
    """Rows as `aligned` has them, without those spare columns that would make them wider than a terminal.

    Args:
        rows: Cells, the same number in each row.
        width: Of the terminal, in characters.
        spare: Numbers of the columns that may be left out, the last of them first.
        left: As of `aligned`.

    Returns:
        The lines, and how many columns were left out.
    """
    lines, kept = aligned(rows, left), len(spare)
    while kept and max(map(len, lines)) > width:
        kept -= 1
        columns = [column for column in range(len(rows[0])) if column not in spare[kept:]]
        flush = frozenset(place for place, column in enumerate(columns) if column in left)
        lines = aligned([[row[column] for column in columns] for row in rows], flush)
    return lines, len(spare) - kept


def fitted_table(
    rows: Sequence[Sequence[str]], spare: Sequence[int], left: frozenset[int] = frozenset({0}), called: str = ""
) -> Fitted:
    """A table, its heads first, as wide as the terminal allows.

    Args:
        rows: As of `fitting`, the heads first.
        spare: As of `fitting`.
        left: As of `aligned`.
        called: What a spare column is, in the singular, to tell of those that are left out; no word of them if empty.
    """

    def lines(width: int) -> Iterable[Text]:
        (header, *others), hidden = fitting(rows, width, spare, left)
        yield Text(header, style="bold")
        yield from map(Text, others)
        if hidden and called:
            yield more_with_json(hidden, called)

    return Fitted(lines)


def more_with_json(hidden: int, called: str) -> Text:
    """That a terminal was too narrow for some numbers, and where they are."""
    return Text(f"... and {hidden} more {called}{'s' if hidden > 1 else ''} with --json", style="dim")


def short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The shortest ending of each dotted key that no other key shares: fit.lr is lr, unless model.lr is there too."""
    short: dict[str, str] = {}
    for key in keys:
        parts = key.split(".")
        endings = [".".join(parts[-size:]) for size in range(1, len(parts) + 1)]
        free = [end for end in endings if not any(other != key and f".{other}".endswith(f".{end}") for other in keys)]
        short[key] = free[0] if free else key
    return short


def short_value(value: object, longest: int = _LONGEST_VALUE) -> str:
    """A parameter as a person would write it in a spec, in at most so many characters."""
    if isinstance(value, bool) or value is None:
        text = json.dumps(value)
    elif isinstance(value, float):
        # Only magnitudes outside 0.001 to 10,000 read better with an exponent.
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        usual = not math.isfinite(value) or value == 0 or 1e-3 <= abs(value) < 1e4
        text = f"{value:.3g}" if usual else f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    elif isinstance(value, list | tuple):
        text = "[" + ",".join(short_value(item, longest) for item in value) + "]"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key}: {short_value(item, longest)}" for key, item in value.items()) + "}"
    else:
        text = str(value)
    return cropped(text, longest)


def params_text(params: Mapping[str, Any]) -> str:
    """Parameters on one line, under their short names."""
    names = short_keys(list(params))
    return " ".join(f"{names[key]}={short_value(params[key])}" for key in params)


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


def rate(per_second: float) -> str:
    """A rate with three digits: 812, 9.6k, 1.25M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if per_second >= size:
            return f"{per_second / size:.3g}{unit}"
    return f"{per_second:.3g}"


def size(count: float) -> str:
    """Bytes with three digits: 412 kB, 3.2 MB, 16.4 GB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{_three_digits(count / unit)} {name}"
    return f"{_three_digits(count / 1e3)} kB"


def amount(size: int) -> str:
    """Bytes with three digits: 812 B, 9.6 kB, 1.25 GB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{_three_digits(size / unit)} {name}"
    return f"{size} B"


def _three_digits(value: float) -> str:
    """Those, or all before the point, where %g would write 1e+03."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"
