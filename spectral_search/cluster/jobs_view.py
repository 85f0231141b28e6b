"""Jobs for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from spectral_search.cluster.standing import Standing
from spectral_search.record.wording import fitted_table

_HEADINGS = ["name", "state", "stage", "by", "submitted (UTC)", "cluster"]


def render_jobs(jobs: Sequence[Standing]) -> RenderableType:
    """All jobs, first submitted first, and below them why each is as it is."""
    if not jobs:
        return Text("No jobs yet: `spectral-search submit cnn_stage1a --address http://HEAD:8265` makes one.")
    rows = [_HEADINGS]
    for one in jobs:
        state = one.state if one.position is None else f"{one.state} ({one.position})"
        at = one.job.submitted_at[:16].replace("T", " ")
        rows.append([one.job.name, state, one.job.stage, one.job.submitted_by or "-", at, _short(one.job.address)])
    told = [Text(told_of(one)) for one in jobs if one.why]
    return Group(fitted_table(rows, (5, 3, 2, 4), frozenset(range(6))), *told)


def told_of(one: Standing) -> str:
    """A job in a sentence."""
    place = f", {_ordinal(one.position)} in the queue" if one.position is not None else ""
    why = f": {one.why}" if one.why else ""
    if one.waits and one.why:
        return f"{one.job.name} waits {one.why}{place}"
    return f"{one.job.name} {_verb(one)}{place}{why}"


def _verb(one: Standing) -> str:
    return {"failed": "failed", "finished": "has finished", "running": "is running", "lost": "is lost"}.get(
        one.state, f"was {one.state}"
    )


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"place {number}")


def _short(address: str | None) -> str:
    return "-" if address is None else address.partition("://")[2]
