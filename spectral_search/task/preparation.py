"""What a run asks of a task: data to train on, examples to be tested on afresh, and predictions of what it exports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

from spectral_search.task.training import TrainingSet

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch


class Predictor(Protocol):
    """An exported model at work; its configuration says how examples are read."""

    @property
    def config(self) -> Any: ...

    def predict(self, examples: Any) -> "np.ndarray":
        """Predictions for examples as the task holds them, in the unit of the labels, shape (D, N)."""


@dataclass(frozen=True)
class Examined:
    """What an exported model predicts for examples whose targets are known.

    Attributes:
        predicted_DN: In the unit of the labels, of shape (D, N) or, of several outputs, (D, N, O).
        target_N: Of shape (N,) or (N, O).
        part: Which part of the data they are.
        group_NG: What examples have in common with others, whole numbers of shape (N, G): those that share one are not
            to be learnt from where the other is predicted. Each is for itself where absent.
    """

    predicted_DN: "np.ndarray"
    target_N: "np.ndarray"
    part: str
    group_NG: "np.ndarray | None" = None


@dataclass(frozen=True)
class Tested:
    """What a winner predicted for the test set.

    Attributes:
        table: A row an example, with the task's target and its prediction.
        about: What else the record says of it.
        as_recorded: Whether the examples are those that the run knows.
    """

    table: "pd.DataFrame"
    about: dict[str, Any]
    as_recorded: bool


class Prepared(Protocol):
    """The data of a run, read.

    Attributes:
        dataset: What trials train on.
        notes: What to tell, a sentence each.
        val_labels_N: Labels of the val examples, in order.
        val_table: All that is known of them, a row each.
        has_test: Whether there is a test set.
    """

    @property
    def dataset(self) -> TrainingSet: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    @property
    def val_labels_N(self) -> "np.ndarray": ...

    @property
    def val_table(self) -> "pd.DataFrame": ...

    @property
    def has_test(self) -> bool: ...

    def fresh(self, draw: int) -> Any:
        """The val examples for a re-test, another draw of what is random about them: no choice has seen it.

        A task without `redraws` is asked once and gives those that every epoch is measured on.
        """

    def predictor(self, bundle: Any, device: "torch.device") -> Predictor:
        """An exported model at work."""

    def test(self, predictor: Any, recorded: Mapping[str, Any]) -> Tested:
        """Predict the test set once.

        Args:
            predictor: Of `predictor`, of the task's own kind.
            recorded: What the run has recorded of its data.
        """


class Preparation(Protocol):
    """Reads the data of a run, once."""

    @property
    def goes_ahead(self) -> bool:
        """Whether a thread can read while other processes start."""

    def prepare(self, *, on_ray: bool = False, abandoned: Event | None = None) -> Prepared:
        """Read and make what trials train on; nothing is written.

        Args:
            on_ray: Whether processes of Ray may read.
            abandoned: Set when nobody wants it any more.

        Raises:
            RequestError: The data cannot be used.
        """

    def keep(self, prepared: Any, say: Callable[[str], None]) -> Prepared:
        """Write down what was read, once it is certain what it is of.

        Args:
            prepared: Of `prepare`, of the task's own kind.
            say: Shows a sentence.

        Raises:
            RequestError: It is not what the run has read before.
        """
