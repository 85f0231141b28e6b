"""The `data` section: where readings of sensors are, how time is split, and what a network sees of the past."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from spectral_search.spec.base import MANY, linked_fault
from spectral_search.spec.data_section import DataSection, InputSection

TIME_CHANNELS = {"none": 0, "day": 2, "week": 4}
"""Channels that tell the time: a sine and a cosine of the time of day, and of that of the week."""
HORIZON = 12
"""Steps that are predicted: an hour of five minutes each."""
Steps = Annotated[int, Field(ge=1, le=2016)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class TrafficInput(InputSection):
    """The last steps of every sensor; networks read them sensor by sensor, each in the order of time."""

    steps: Steps = Field(12, description="steps of the past that a network reads")
    time: Literal["none", "day", "week"] = Field(
        "day",
        description="what is told of the time of each step: nothing, the time of day, that of the week beside it",
    )
    known: bool = Field(True, description="a channel that says which readings are there, and which are filled in")
    usual: bool = Field(
        False, description="a channel with what a sensor usually reads at the time of day that is to be predicted"
    )

    @property
    def channels(self) -> int:
        """Readings, and what is told beside them."""
        return 1 + self.known + self.usual + TIME_CHANNELS[self.time]

    def length(self, values: int) -> int:
        """Steps of all sensors, for so many of these."""
        return values * self.steps

    def height(self, values: int) -> int:
        """A row a sensor."""
        return values

    def outputs(self, values: int) -> int:
        """The next steps of all sensors, sensor by sensor."""
        return values * HORIZON


class TrafficData(DataSection):
    """Where the readings are, and how they are used."""

    root: str | list[str] | None = Field(
        None, description="a table of readings (.csv, .npz or .h5), time down and sensors across"
    )
    adjacency: str | None = Field(
        None, description="a square table (.csv or .npz) of how near sensors are to each other, 0 for not at all"
    )
    header: Literal["auto", "yes", "no"] = Field(
        "auto", description="whether a .csv begins with the names of the sensors; auto: by what is there"
    )
    start: str | None = Field(
        None, description="time of the first row, such as 2012-03-01T00:00, of a table without times; Monday 00:00 else"
    )
    step_minutes: Annotated[int, Field(ge=1, le=1440)] = Field(5, description="minutes from one row to the next")
    missing: float | None = Field(
        0.0, description="the reading that says that there is none; null: only empty cells do"
    )
    train_share: Share = Field(0.7, description="first part of time, that networks train on")
    val_share: Share = Field(0.1, description="the part after it, that every epoch is measured on; the rest is test")
    history: Steps | None = Field(
        None, description="steps before every window that no other part may hold; when absent the most that trials read"
    )
    num_train: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None, description="most training windows, spread evenly over time"
    )
    windows_per_epoch: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None, description="most training windows of an epoch, drawn anew in each; when absent all of them every time"
    )
    num_val: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None, description="most val windows, spread evenly over time"
    )
    split_seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] = Field(
        42, description="of the resampling that intervals come from; the split itself is by time"
    )
    input: TrafficInput = TrafficInput()

    SETTING = ("num_train", "windows_per_epoch")

    @field_validator("start")
    @classmethod
    def _is_a_time(cls, start: str | None) -> str | None:
        if start is not None:
            try:
                datetime.fromisoformat(start)
            except ValueError:
                raise ValueError(f"{start!r} is no time; write it like 2012-03-01T00:00") from None
        return start

    @model_validator(mode="after")
    def _some_time_is_left_to_test(self) -> "TrafficData":
        if self.train_share + self.val_share >= 1.0:
            message = (
                f"train_share and val_share leave nothing to test ({self.train_share:g} + {self.val_share:g}); make "
                "their sum less than 1"
            )
            raise linked_fault(message, "data.train_share", "data.val_share")
        return self

    @model_validator(mode="after")
    def _windows_hold_what_is_read(self) -> "TrafficData":
        if self.history is not None and self.history < self.input.steps:
            message = (
                f"history ({self.history}) is less than the {self.input.steps} steps that a network reads; raise it"
            )
            raise linked_fault(message, "data.history", "data.input.steps")
        return self

    @classmethod
    def quick(cls, limits: Mapping[str, int]) -> dict[str, int]:
        return {"num_train": limits["train"], "num_val": limits["val"]}


DATA = TrafficData
