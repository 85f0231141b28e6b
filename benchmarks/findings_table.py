"""The benchmark's document for a terminal: a table a part, and the physics behind it."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_STYLES = {True: "green", False: "red", None: ""}


def render_head(document: dict[str, Any], machine: str) -> RenderableType:
    """On what it ran, and what to make of the numbers."""
    lines = [Text(f"{document['machine']['date']}, {machine}", style="bold")]
    if document["quick"]:
        lines.append(Text("--quick: tiny sizes, to see that it runs; these numbers mean nothing.", style="yellow"))
    if document["busy"]:
        share = document["machine"]["busy_share"]
        text = f"The machine was busy before the start ({share:.0%} of its cores): trust ratios at most, not seconds."
        lines.append(Text(text, style="yellow"))
    return Group(*lines)


def render_part(name: str, findings: dict[str, Any], *, quick: bool) -> RenderableType:
    """Measured, floor or peer, ratio and target of each row, then what bounds them; no verdicts on quick numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(name, overflow="fold")
    for title in ("measured", "floor or peer", "ratio", "target"):
        table.add_column(title, justify="left" if title == "floor or peer" else "right", overflow="fold")
    for row in findings["rows"]:
        beside = "" if row["reference"] is None else f"{_number(row['reference'])} {row['unit']} ({row['beside']})"
        cells = (f"{_number(row['value'])} {row['unit']}".rstrip(), beside, _number(row["ratio"]), row["target"] or "")
        met = None if quick else row["met"]
        verdict = {True: " met", False: " missed", None: ""}[met]
        table.add_row(row["name"], *cells[:-1], Text(cells[-1] + verdict, style=_STYLES[met]))
    notes = [Text(f"note: {note}", style="yellow") for note in findings["notes"]]
    return Group(Text(), table, *notes, Text(findings["physics"], style="dim"))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.01 or value == 0 else f"{value:.4f}"
