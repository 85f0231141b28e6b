"""Arrays in memory as training, re-tests and exported models ask for them, see `array_task`.

Shape suffixes: D draws, of which there is one, N examples, F features.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch

from spectral_search.errors import RequestError
from spectral_search.places import writing
from spectral_search.record.bundle import Bundle, read_bundle, read_safetensors, to_safetensors
from spectral_search.record.durable import write_atomic
from spectral_search.record.paths import RunPaths
from spectral_search.record.stack_bundle import at_work
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric
from spectral_search.task.preparation import Examined, Predictor, Tested
from spectral_search.task.training import InputShape, MeasuredPart, Reader, TargetScale, TrainBatch, Wanted
from spectral_search.train.array_task import ArrayPlan, Arrays, ArrayTask, Parts
from spectral_search.train.network import Network
from spectral_search.train.prediction import LoneNetwork, predict, rows_at_once

InputsOf = Callable[[torch.Tensor, Mapping[str, Wanted]], Mapping[str, torch.Tensor]]
"""The inputs of some examples, by key: of their rows, and of what is wanted."""


@dataclass(frozen=True)
class ArrayScale:
    """Statistics of the training set: what features and targets are standardised by."""

    mean_F: np.ndarray
    std_F: np.ndarray
    target: TargetScale

    @classmethod
    def of(cls, train: Arrays) -> "ArrayScale":
        """Those of a training set; what does not vary is only centred."""
        # In float64: sums of many examples in float32 lose the last digits.
        mean_F, std_F = train.x_NF.mean(0, dtype=np.float64), train.x_NF.std(0, dtype=np.float64)
        std = float(train.y_N.std(dtype=np.float64))
        if not std > 0.0:
            raise RequestError("The targets of the training set do not vary: there is nothing to learn.")
        target = TargetScale(float(train.y_N.mean(dtype=np.float64)), std)
        return cls(mean_F.astype(np.float32), np.where(std_F > 0.0, std_F, 1.0).astype(np.float32), target)

    def to_arrays(self) -> dict[str, np.ndarray]:
        target = np.array([self.target.mean, self.target.std])
        return {"mean": self.mean_F, "std": self.std_F, "target": target}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ArrayScale":
        return cls(arrays["mean"], arrays["std"], TargetScale(*(float(value) for value in arrays["target"])))

    def __call__(self, x_NF: np.ndarray) -> torch.Tensor:
        """Features as networks read them, of shape (N, 1, F)."""
        return torch.from_numpy((x_NF - self.mean_F) / self.std_F).unsqueeze(1)


@dataclass(frozen=True)
class ArraySet:
    """See `task.training.TrainingSet`."""

    train: Arrays
    val: Arrays
    scale: ArrayScale
    task: str

    @property
    def examples(self) -> int:
        return len(self.train)

    @property
    def values(self) -> int:
        return int(self.train.x_NF.shape[1])

    def reader(self, spec: RunSpec) -> Reader:
        return "thread"

    def on_device(self, device: torch.device, *, share: float = 1.0, reader: Reader = "thread") -> "ArraysOnDevice":
        return ArraysOnDevice(self, device)


class MeasuredArrays:
    """See `task.training.Measured`: examples whose inputs are all there."""

    draws = 1

    def __init__(self, x_NCF: torch.Tensor) -> None:
        self._x_NCF, self.count = x_NCF, len(x_NCF)

    def parts(self, wanted: Mapping[str, Wanted], rows: int) -> Iterator[MeasuredPart]:
        for start in range(0, self.count, rows):
            part = slice(start, min(start + rows, self.count))
            x_BCF = self._x_NCF[part]
            context_B = torch.zeros(len(x_BCF), dtype=torch.int64, device=x_BCF.device)
            yield MeasuredPart(0, part, {key: x_BCF.to(want.format) for key, want in wanted.items()}, context_B)


class RowsOnDevice(ABC):
    """What `task.training.DeviceData` of examples in memory share: whose they are, their order and their batches.

    Args:
        held: Has `task`, `examples` (of an epoch) and `values`; `drawn_from`, where an epoch takes some of more.
        device: Where they are.
    """

    constants: Mapping[str, torch.Tensor] = {}

    def __init__(self, held: Any, device: torch.device) -> None:
        from spectral_search.task.registry import task_of

        self._device, self._task = device, task_of(held.task)
        self.examples, self.values = held.examples, held.values
        self._drawn_from: int = getattr(held, "drawn_from", held.examples)

    @property
    def objective(self) -> Metric:
        return self._task.objective

    @property
    def metrics(self) -> Sequence[Metric]:
        return self._task.metrics

    @property
    def examples_name(self) -> str:
        return self._task.examples

    def shape(self, config: TrialConfig) -> InputShape:
        return InputShape.of(config.data.input, self.values)

    def source(self, config: TrialConfig) -> str:
        return self._task.name

    def steps(self, config: TrialConfig) -> int:
        return len(batch_bounds(self.examples, config.fit.batch_size)) - 1

    @abstractmethod
    def inputs_of(self, seed: int, epoch: int) -> InputsOf:
        """What gives the inputs of some examples of an epoch, by their rows."""

    @abstractmethod
    def targets(self) -> torch.Tensor:
        """See `task.training.DeviceData`."""

    def targets_of(self, rows_B: torch.Tensor) -> torch.Tensor:
        """The targets of some examples, by their rows."""
        return self.targets().index_select(0, rows_B)

    def batches(
        self,
        wanted: Mapping[str, Wanted],
        source: str,
        batch_size: int,
        order: tuple[int, int],
        counter: tuple[int | str, ...],
    ) -> Iterator[TrainBatch]:
        seed, epoch = order
        # Drawn on the CPU whatever the device: a GPU's generator would give another order.
        drawn = torch.Generator().manual_seed(counter_seed(seed, "order", epoch))
        order_N = torch.randperm(self._drawn_from, generator=drawn)[: self.examples].to(self._device)
        inputs_of = self.inputs_of(seed, epoch)
        for index, (start, stop) in enumerate(pairwise(batch_bounds(self.examples, batch_size).tolist())):
            rows_B = order_N[start:stop]
            yield TrainBatch(index, inputs_of(rows_B, wanted), self.targets_of(rows_B), torch.zeros_like(rows_B))


class ArraysOnDevice(RowsOnDevice):
    """See `task.training.DeviceData`."""

    def __init__(self, held: ArraySet, device: torch.device) -> None:
        super().__init__(held, device)
        self._held, self.scale = held, held.scale.target
        self._x_NCF = held.scale(held.train.x_NF).to(device)
        self._target_N = self.scale.standardise(torch.from_numpy(held.train.y_N)).to(device)
        self._val = self._made(held.val)

    def inputs_of(self, seed: int, epoch: int) -> InputsOf:
        return self._inputs

    def _inputs(self, rows_B: torch.Tensor, wanted: Mapping[str, Wanted]) -> dict[str, torch.Tensor]:
        x_BCF = self._x_NCF.index_select(0, rows_B)
        return {key: x_BCF.to(want.format) for key, want in wanted.items()}

    def targets(self) -> torch.Tensor:
        return self._target_N

    def measured(self, examples: Arrays) -> MeasuredArrays:
        # By identity: the val set is asked for after every epoch, and is on the device already.
        return self._val if examples is self._held.val else self._made(examples)

    def _made(self, examples: Arrays) -> MeasuredArrays:
        return MeasuredArrays(self._held.scale(examples.x_NF).to(self._device))

    def val_scores(self, predicted_DN: np.ndarray) -> dict[str, float]:
        return self._task.scores(predicted_DN, self._held.val.y_N)


class ArrayPredictor:
    """See `task.preparation.Predictor`."""

    def __init__(self, bundle: Bundle, device: torch.device) -> None:
        self.config = RunSpec.from_dict(bundle.config).base
        self._scale, self._device = ArrayScale.from_arrays(bundle.preprocessing), device
        self._features = len(self._scale.mean_F)
        self._network = Network(self.config, InputShape.of(self.config.data.input, self._features), device)
        self._network.model.load_state_dict({name: torch.tensor(value) for name, value in bundle.weights.items()})

    def predict(self, examples: Arrays) -> np.ndarray:
        """Predictions of shape (1, N)."""
        if examples.x_NF.shape[1] != self._features:
            raise RequestError(
                f"The model reads {self._features} features and these examples have {examples.x_NF.shape[1]}."
            )
        measured = MeasuredArrays(self._scale(examples.x_NF).to(self._device))
        wanted = {self._network.input_key: Wanted(self.config, self._network.input_format)}
        rows = rows_at_once(self.config.fit.batch_size)
        return predict([LoneNetwork(self._network)], measured, wanted, self._scale.target, rows)[0]


@dataclass(frozen=True)
class PreparedArrays:
    """See `task.preparation.Prepared`."""

    plan: ArrayPlan[Any]
    dataset: ArraySet
    notes: tuple[str, ...] = ()

    @property
    def val_labels_N(self) -> np.ndarray:
        return self.plan.parts["val"].y_N

    @property
    def val_table(self) -> pd.DataFrame:
        return _table(self.plan.task, self.plan.parts["val"])

    @property
    def has_test(self) -> bool:
        return "test" in self.plan.parts

    def fresh(self, draw: int) -> Arrays:
        return self.plan.parts["val"]

    def predictor(self, bundle: Bundle, device: torch.device) -> ArrayPredictor:
        return ArrayPredictor(bundle, device)

    def test(self, predictor: ArrayPredictor, recorded: Mapping[str, Any]) -> Tested:
        test, task = self.plan.parts["test"], self.plan.task
        table = _table(task, test).assign(**{task.predicted: predictor.predict(test)[0]})
        return Tested(table, {}, recorded.get("sha256", {}).get("test") == test.sha256())


class ArrayPreparation:
    """See `task.preparation.Preparation`."""

    goes_ahead = True

    def __init__(self, plan: ArrayPlan[Any], paths: RunPaths) -> None:
        self._plan, self._paths = plan, paths

    def prepare(self, *, on_ray: bool = False, abandoned: Event | None = None) -> PreparedArrays:
        known, parts = self._paths.preprocessing_safetensors, self._plan.parts
        # A run that is resumed goes on with the scale that its networks were trained on.
        scale = ArrayScale.from_arrays(read_safetensors(known)[0]) if known.exists() else ArrayScale.of(parts["train"])
        held = ArraySet(parts["train"], parts["val"], scale, self._plan.spec.task)
        return PreparedArrays(self._plan, held)

    def keep(self, prepared: PreparedArrays, say: Callable[[str], None]) -> PreparedArrays:
        if not self._paths.preprocessing_safetensors.exists():
            write_atomic(self._paths.preprocessing_safetensors, to_safetensors(prepared.dataset.scale.to_arrays()))
        return prepared


def examined(task: ArrayTask, bundle: Bundle, data: Path, part: str) -> Examined:
    """What an exported model predicts for a part of data.

    Raises:
        RequestError: The part is absent, or the model does not fit the data.
    """
    predictor, parts = _model_and_parts(task, bundle, data)
    chosen = ("test" if "test" in parts else "val") if part == "auto" else part
    if chosen not in parts:
        raise RequestError(f"{data} has no {chosen} examples: it has {', '.join(parts)}.")
    return Examined(predictor.predict(parts[chosen]), parts[chosen].y_N, chosen)


def evaluated(task: ArrayTask, model: Path, data: Path, part: str) -> dict[str, Any]:
    """The task's metrics of an exported model on a part of data.

    Raises:
        RequestError: The part is absent, or the model does not fit the data.
    """
    found = examined(task, read_bundle(model), data, part)
    scores = task.scores(found.predicted_DN, found.target_N)
    return {**scores, task.examples: len(found.target_N), "part": found.part}


def predicted(task: ArrayTask, model: Path, data: Path, file: Path) -> dict[str, Any]:
    """Write predictions for the test, else val examples of data, beside their targets, as a CSV or Parquet file."""
    predictor, parts = _model_and_parts(task, read_bundle(model), data)
    chosen = parts["test" if "test" in parts else "val"]
    table = _table(task, chosen).assign(**{task.predicted: predictor.predict(chosen)[0]})
    with writing(file):
        table.to_parquet(file) if file.suffix == ".parquet" else table.to_csv(file, index=False)
    return {task.examples: len(table)}


def _model_and_parts(task: ArrayTask, bundle: Bundle, data: Path) -> tuple[Predictor, Parts]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = at_work(bundle, lambda model: ArrayPredictor(model, device))
    return predictor, task.parts(predictor.config.data.model_copy(update={"root": str(data)}))


def _table(task: ArrayTask, part: Arrays) -> pd.DataFrame:
    return pd.DataFrame({"id": np.arange(len(part)), task.target: part.y_N})
