"""The `gate` section: what a stage must reach for the next to begin, and what it falls back to."""

from typing import Annotated

from pydantic import Field

from spectral_search.spec.base import LARGE, Section

Value = Annotated[float, Field(ge=-LARGE, le=LARGE)]


class GateSpec(Section):
    """Bounds of a metric of the winner on val; its direction is the metric's own, so that none is said here."""

    metric: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="a metric of the task on val, such as val_mae; when absent the one that is searched by"
    )
    go_on: Value = Field(description="a stage that is better than this goes on")
    start_over: Value | None = Field(None, description="one that is worse than this goes back")
    next: Annotated[str, Field(min_length=1)] | None = Field(None, description="the stage after this one")
    back: Annotated[str, Field(min_length=1)] | None = Field(None, description="the stage to begin again with")
