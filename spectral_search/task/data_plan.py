"""What planning asks of a task's data, from headers and a few examples: nothing is read for training yet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.training import InputShape

if TYPE_CHECKING:
    import numpy as np

    from spectral_search.task.preparation import Preparation

DEVICE_SHARE = 0.5
"""Part of a process's device memory that examples may fill."""
CheckNetworks = Callable[[RunSpec, Callable[[TrialConfig], InputShape]], None]
"""Refuses networks of a search that cannot read inputs of these shapes."""


@dataclass(frozen=True)
class Sizes:
    """How many examples there are.

    Attributes:
        train: For training.
        val: That every epoch is measured on.
        test: Of the test set; None without one.
        val_draws: How often each val example is measured in an epoch.
    """

    train: int
    val: int
    test: int | None = None
    val_draws: int = 1


@dataclass(frozen=True)
class Traits:
    """What a task's data are to whoever plans processes and memory for a search.

    Attributes:
        values: Numbers of one example before anything is left out of it.
        train: Training examples; None where they are not known.
        kept_bytes: What stays in memory of the training examples.
        window_bytes: What is in memory at a time of examples that are read anew each epoch.
        streams: Whether examples are read anew each epoch.
        streams_on_ray: Whether processes of Ray Data do that, where trials run on Ray.
        val_bytes: What the examples take that every epoch is measured on, all draws of them.
        store_val_bytes: Room for them in the object store of Ray.
        cheap: Whether batches of a trial cost next to nothing beside the steps on them.
        all_cheap: Whether batches of all trials do.
        less: What to change to use less memory for examples.
        examples_name: What examples are called, in the plural.
    """

    values: int
    train: int | None
    kept_bytes: int
    window_bytes: int
    streams: bool
    streams_on_ray: bool
    val_bytes: int
    store_val_bytes: int
    cheap: Callable[[TrialConfig], bool]
    all_cheap: bool
    less: str
    examples_name: str


class DataPlan(Protocol):
    """The data of a search as it will use them.

    Attributes:
        spec: The search, with all decided that its data decide.
        notes: What the user should know, a sentence each.
        mismatches: Why the parts of the data cannot be one data set, where the spec says to go on all the same.
        sizes: How many examples there are.
        traits: For the plan of processes and memory.
    """

    @property
    def spec(self) -> RunSpec: ...

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def mismatches(self) -> Sequence[str]: ...

    @property
    def sizes(self) -> Sizes: ...

    @property
    def traits(self) -> Traits: ...

    def shape(self, config: TrialConfig) -> InputShape:
        """What the network of a trial will read, as far as that is known."""

    def reader_note(self) -> str | None:
        """What reads examples that do not stay in memory, a sentence; None where all do."""

    def rows(self) -> list[tuple[str, str]]:
        """What the plan says of the data to people: names and texts."""

    def document(self) -> dict[str, Any]:
        """What the plan says of the data as JSON."""

    def record(self) -> dict[str, Any]:
        """What a run records of its data when it begins."""

    def arrays(self) -> "Mapping[str, np.ndarray]":
        """Which examples train, validate and test, as arrays to be kept with the run."""

    def preparation(self, run: Any, told: Callable[[int, int], None]) -> "Preparation":
        """What reads the data for a run.

        Args:
            run: Its paths.
            told: Hears how many examples are done of a long step, and how many there are.
        """


class FoundData(Protocol):
    """Data that were looked at and can be searched on."""

    def decided(self, results: Path | None) -> DataPlan:
        """What the search will use of them.

        Args:
            results: The results root, where more may be known of these data.

        Raises:
            RequestError: The data do not allow what the search asks of them.
        """
