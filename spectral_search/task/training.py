"""What training asks of a task's data: batches of inputs and targets, and examples to be measured on.

A task prepares a `TrainingSet`: plain arrays that processes can share. Each process brings it to its device, where it
is `DeviceData`; nothing that trains knows more of it than this.
Shape suffixes: D draws, N examples, B examples of a batch; inputs are (B, C, L), C channels of length L. A target is a
number an example, or O of them: what is (B,), (N,) or (D, N) here is then (B, O), (N, O) or (D, N, O), and NaN where a
target is not known, which losses and metrics leave out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from spectral_search.spec.data_section import InputSection
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.metric import Metric

if TYPE_CHECKING:
    import numpy as np
    import torch

Reader = Literal["thread", "ray"]
"""What reads examples that do not stay in memory: a thread of the process that trains, or processes of Ray Data."""


@dataclass(frozen=True)
class InputShape:
    """Shape of one example as a network reads it, and how many numbers it gives; see `spec.family.InputShape`."""

    channels: int
    length: int
    height: int = 1
    outputs: int = 1

    @classmethod
    def of(cls, given: InputSection, values: int) -> "InputShape":
        """What networks read of examples of so many values."""
        return cls(given.channels, given.length(values), given.height(values), given.outputs(values))

    @property
    def features(self) -> int:
        return self.channels * self.length

    @property
    def sizes(self) -> dict[str, int]:
        """As those who build and count networks take it, by keyword."""
        return {"pixels": self.length, "channels": self.channels, "height": self.height, "outputs": self.outputs}


@dataclass(frozen=True)
class TargetScale:
    """What turns labels into what a network learns, mean 0 and standard deviation 1 over the training set, and back."""

    mean: float
    std: float

    def standardise(self, label_B: "torch.Tensor") -> "torch.Tensor":
        """Labels as the network's target."""
        return (label_B - self.mean) / self.std

    def restore(self, output_B: "torch.Tensor") -> "torch.Tensor":
        """The inverse of `standardise`."""
        return output_B * self.std + self.mean


@dataclass(frozen=True)
class Wanted:
    """An input that some networks read: the configuration that says how it is made, and their number format."""

    config: TrialConfig
    format: "torch.dtype"


@dataclass(frozen=True)
class TrainBatch:
    """The examples of one step.

    Attributes:
        index: Counts the steps of the epoch from 0.
        inputs: By key of the input, each (B, C, L).
        target_B: What networks learn, standardised; NaN where it is not known.
        context_B: What some networks are told beside their input; where images of a batch are compared with each other,
            the places of both of each pair, (Q, 2), and the targets are (Q,).
        targets: By key of the input, where others than `target_B` go with it: mixtures, or a teacher's beside them.
    """

    index: int
    inputs: "Mapping[str, torch.Tensor]"
    target_B: "torch.Tensor"
    context_B: "torch.Tensor"
    targets: "Mapping[str, torch.Tensor]" = field(default_factory=dict)

    def target(self, key: str) -> "torch.Tensor":
        """The targets that go with an input."""
        return self.targets.get(key, self.target_B)

    def __len__(self) -> int:
        return len(self.target_B)


@dataclass(frozen=True)
class MeasuredPart:
    """Some of the examples in one draw: their inputs by key, and what some networks are told beside them."""

    draw: int
    rows: slice
    inputs: "Mapping[str, torch.Tensor]"
    context_B: "torch.Tensor"


class Measured(Protocol):
    """Examples whose inputs are the same whenever they are asked for."""

    @property
    def draws(self) -> int:
        """D, how often each example is there, each time with other noise."""

    @property
    def count(self) -> int:
        """N examples."""

    def parts(self, wanted: Mapping[str, Wanted], rows: int) -> Iterator[MeasuredPart]:
        """All examples in all draws, at most so many at a time."""


class DeviceData(Protocol):
    """A training set on the device of a process."""

    @property
    def examples(self) -> int:
        """Training examples N."""

    @property
    def values(self) -> int:
        """Numbers of one example before anything is left out of it."""

    @property
    def scale(self) -> TargetScale:
        """Of the labels."""

    @property
    def examples_name(self) -> str:
        """The task's word for examples, in the plural."""

    @property
    def constants(self) -> "Mapping[str, torch.Tensor]":
        """What all networks are told of the data once, by name: it fills the buffers of that name that they have."""

    @property
    def objective(self) -> Metric:
        """What tells, among `val_scores`, which epoch is the best."""

    @property
    def metrics(self) -> Sequence[Metric]:
        """What `val_scores` holds."""

    def shape(self, config: TrialConfig) -> InputShape:
        """What the network of a trial reads."""

    def source(self, config: TrialConfig) -> str:
        """Names the batches that a trial reads: trials of one source can share them."""

    def steps(self, config: TrialConfig) -> int:
        """Batches of an epoch."""

    def batches(
        self,
        wanted: Mapping[str, Wanted],
        source: str,
        batch_size: int,
        order: tuple[int, int],
        counter: tuple[int | str, ...],
    ) -> Iterator[TrainBatch]:
        """The batches of an epoch.

        Args:
            wanted: The inputs to make, by key.
            source: Of `source`.
            batch_size: Examples of a batch, about.
            order: Seed and epoch, which the order of the examples follows from.
            counter: Names the random draws of the epoch; the batch's index is added to it.
        """

    def targets(self) -> "torch.Tensor":
        """All training targets, standardised, shape (N,) or (N, O)."""

    def measured(self, examples: Any) -> Measured:
        """Examples to be measured on, as the task holds them; what was made of the val set is kept."""

    def val_scores(self, predicted_DN: "np.ndarray") -> dict[str, float]:
        """The task's metrics of predictions for the val set, by name."""


class TrainingSet(Protocol):
    """What a task prepares for training, in arrays that processes can share."""

    @property
    def val(self) -> Any:
        """What every epoch is measured on."""

    @property
    def examples(self) -> int:
        """Training examples N."""

    @property
    def values(self) -> int:
        """Numbers of one example before anything is left out of it."""

    def reader(self, spec: RunSpec) -> Reader:
        """What reads examples that do not stay in memory, for a run on Ray."""

    def on_device(self, device: "torch.device", *, share: float = 1.0, reader: Reader = "thread") -> DeviceData:
        """The set on the device of a process.

        Args:
            device: Where networks train.
            share: Part of the device that this process may fill.
            reader: What reads examples that do not stay in memory.
        """
