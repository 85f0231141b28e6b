"""What a task is to the core."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import SearchSpec
from spectral_search.task.data_plan import CheckNetworks, DataPlan, FoundData
from spectral_search.task.measure import value_of
from spectral_search.task.metric import Metric
from spectral_search.task.verbs import DefaultData, Verb

if TYPE_CHECKING:
    import numpy as np

    from spectral_search.task.preparation import Examined


class Task(ABC):
    """A kind of data with what is to be learnt of them.

    Attributes:
        name: As specs name it.
        metrics: What its predictions are measured by; the first is the objective.
        examples: What it learns from, in the plural: the word for people, and the key of their number in records.
        target: Names the column of what is to be predicted in tables of predictions.
        labels: The columns of such a table beside the prediction, `target` among them.
        selected_on: What of the val set selects trials, for people.
        redraws: Whether a re-test draws anew what is random about the val examples (`Prepared.fresh`). Where nothing
            is, they are predicted once more, and what the re-test adds are its interval and the other seeds.
        retested_on: What the finalists are re-tested on, for people.
        training_target: What the training loss is of, for people.
        logits: Whether predictions of targets that are 0 or 1 are logits.
    """

    name: str
    metrics: Sequence[Metric]
    examples: str = "examples"
    target: str = "target"
    labels: tuple[str, ...] = ("id", "target")
    selected_on: str = "the val set"
    redraws: bool = True
    retested_on: str = "fresh examples"
    training_target: str = ""
    logits: bool = False

    @property
    def objective(self) -> Metric:
        """What searches look for the best of, on the val set."""
        return self.metrics[0]

    def retest_draws(self, search: SearchSpec) -> int:
        """How often a finalist predicts the val examples in a re-test."""
        return search.retest_draws if self.redraws else 1

    @abstractmethod
    def open(self, spec: RunSpec) -> Any:
        """The data that a spec names, from headers alone.

        Raises:
            RequestError: They are not there, or are none.
        """

    @abstractmethod
    def look_at(
        self, spec: RunSpec, opened: Any, explicit: Collection[str], check_networks: CheckNetworks
    ) -> FoundData:
        """Hold a search against its data, before anything is decided.

        Args:
            spec: The search, its inherited values filled in.
            opened: Of `open`.
            explicit: Keys that the user gave.
            check_networks: Refuses networks that cannot read the data.

        Raises:
            RequestError: All faults at once.
        """

    @abstractmethod
    def recorded(self, spec: RunSpec, opened: Any, arrays: "Mapping[str, np.ndarray]") -> DataPlan:
        """The data of a run as it has recorded them.

        Args:
            spec: The run's, everything decided.
            opened: Of `open`.
            arrays: Of `DataPlan.arrays`.
        """

    @abstractmethod
    def require_same(self, run: Any, data: DataPlan, say: Callable[[str], None]) -> dict[str, Any]:
        """Refuse data that are not what a run used; what its record should say of them from now on.

        Args:
            run: Its paths.
            data: Of `recorded`.
            say: Shows a sentence.

        Raises:
            RequestError: A sentence for each difference.
        """

    @abstractmethod
    def parent_note(self, parent: Any, opened: Any) -> str | None:
        """What to say where a run's best values are taken over to data that are not what it used."""

    @abstractmethod
    def input_note(self, parent: RunSpec, name: str, params: Mapping[str, Any], spec: RunSpec) -> str | None:
        """What to say where the run that values are taken from saw another input.

        Args:
            parent: The spec of that run.
            name: Its name.
            params: Of its best trial.
            spec: The search that takes them over, decided.
        """

    @property
    def predicted(self) -> str:
        """The column of a table that holds predictions of `target`."""
        return f"{self.target}_predicted"

    def scores(self, predicted_DN: "np.ndarray", target_N: "np.ndarray") -> dict[str, float]:
        """Every metric of predictions, each by its name, of shapes (D, N) and (N,)."""
        return {metric.name: value_of(metric.measure, predicted_DN, target_N) for metric in self.metrics}

    def caveats(self, spec: Mapping[str, Any], params: Sequence[Mapping[str, Any]]) -> list[str]:
        """What keeps numbers of a search from being compared with others, a sentence each.

        Args:
            spec: The search, resolved, as plain values.
            params: Of each of its trials.
        """
        return []

    def verbs(self) -> Mapping[str, Verb[Any, Any]]:
        """What this task brings of simulate, inspect, baselines and audit, by name."""
        return {}

    def default_data(self) -> DefaultData | None:
        """The data of a search that is given none; None where `open` needs no root, or refuses to be without one."""
        return None

    def reporting(self) -> object:
        """A `record.reporting.Reporting`, imported only when it is asked for; None adds nothing to reports."""
        return None

    @abstractmethod
    def evaluate(self, model: Path, data: Path, part: str, run: Any, *, observed: bool = False) -> dict[str, Any]:
        """The task's metrics of an exported model on data, by name, and how many examples they are of.

        Args:
            model: The exported model.
            data: The data.
            part: Which part of them: train, val or test; auto takes test where there is one, else val.
            run: Paths of the run that the model is the winner of; None where it is not known.
            observed: The examples are as observed: nothing random is added to them.

        Raises:
            RequestError: The model or the data cannot be read, do not fit each other, or the part is absent.
        """

    def examined(self, bundle: Any, data: Path, part: str) -> "Examined":
        """What an exported model predicts for a part of data, in the order that every model of the task has.

        Args:
            bundle: The exported model as it was read, which is no stack.
            data: The data.
            part: train, val or test; auto takes test where there is one, else val.

        Raises:
            RequestError: The model does not fit the data, the part is absent, or the task cannot say it.
        """
        raise RequestError(f"The task {self.name} does not say what its models predict, so that they make no stack.")

    @abstractmethod
    def predict(
        self, model: Path, data: Path, file: Path, *, called: str = "", observed: bool = False
    ) -> dict[str, Any]:
        """Write predictions of an exported model for data as a table; what to tell of it, how many examples first.

        Args:
            model: The exported model.
            data: The data.
            file: The table; its ending says which kind.
            called: The model as its user named it.
            observed: The examples are as observed: nothing random is added to them.

        Raises:
            RequestError: The model or the data cannot be read, do not fit each other, or the file cannot be written.
        """

    def check_table_name(self, file: Path) -> None:
        """Refuse a table of predictions that could not be written, before any work.

        Raises:
            RequestError: Its ending is of no kind that this task writes, or what writes it is not installed.
        """
        if file.suffix not in (".csv", ".parquet"):
            raise RequestError(f"{file} must be called .csv or .parquet.")
