"""Pairs as training reads them, see `task.training`: images stay uint8, and become inputs batch by batch.

Shape suffixes: D draws, of which there is one, M images, P pixels of an image, N pairs, B pairs of a batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.task.counter import counter_seed
from spectral_search.task.metric import Metric
from spectral_search.task.training import InputShape, MeasuredPart, Reader, TargetScale, TrainBatch, Wanted
from spectral_search.tasks.pairs.images.pair_part import PairPart

LOGITS = TargetScale(0.0, 1.0)
"""Targets are 0 and 1, and outputs logits, as they are."""
_SOURCE = "pairs"


@dataclass(frozen=True)
class GreyScale:
    """Mean and spread of the pixels that networks train on: inputs are standardised by them."""

    mean: float
    std: float

    @classmethod
    def of(cls, images_MP: np.ndarray) -> "GreyScale":
        """Those of images; of one grey alone the spread is 1."""
        counts = np.bincount(images_MP.ravel(), minlength=256)
        grey, total = np.arange(256.0), counts.sum()
        mean = float(counts @ grey / total)
        std = float(np.sqrt(counts @ (grey - mean) ** 2 / total))
        return cls(mean, std or 1.0)

    def to_arrays(self) -> dict[str, np.ndarray]:
        return {"grey": np.array([self.mean, self.std])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "GreyScale":
        return cls(*(float(value) for value in arrays["grey"]))

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Grey values as networks read them, float32."""
        return (images.float() - self.mean) / self.std


@dataclass(frozen=True)
class PairSet:
    """See `task.training.TrainingSet`."""

    train: PairPart
    val: PairPart
    scale: GreyScale
    task: str
    fresh: bool

    @property
    def examples(self) -> int:
        return len(self.train)

    @property
    def values(self) -> int:
        return self.train.values

    def reader(self, spec: RunSpec) -> Reader:
        return "thread"

    def on_device(self, device: torch.device, *, share: float = 1.0, reader: Reader = "thread") -> "PairsOnDevice":
        return PairsOnDevice(self, device)


class ImagePairs:
    """Pairs on a device."""

    def __init__(self, part: PairPart, scale: GreyScale, images_MP: torch.Tensor) -> None:
        self._scale, self._images_MP = scale, images_MP
        self._rows_N2 = torch.from_numpy(np.column_stack([part.first_N, part.second_N])).to(images_MP.device)

    def __len__(self) -> int:
        return len(self._rows_N2)

    def inputs(self, rows: slice | torch.Tensor, wanted: Mapping[str, Wanted]) -> dict[str, torch.Tensor]:
        """Some pairs as networks read them, each (B, 2, P)."""
        x_B2P = self._scale(self._images_MP[self._rows_N2[rows]])
        return {key: x_B2P.to(want.format) for key, want in wanted.items()}


class MeasuredPairs:
    """See `task.training.Measured`."""

    draws = 1

    def __init__(self, part: PairPart, scale: GreyScale, device: torch.device) -> None:
        self._pairs = ImagePairs(part, scale, torch.from_numpy(part.images_MP).to(device))
        self.count, self._device = len(part), device

    def parts(self, wanted: Mapping[str, Wanted], rows: int) -> Iterator[MeasuredPart]:
        for start in range(0, self.count, rows):
            part = slice(start, min(start + rows, self.count))
            context_B = torch.zeros(part.stop - start, dtype=torch.int64, device=self._device)
            yield MeasuredPart(0, part, self._pairs.inputs(part, wanted), context_B)


class PairsOnDevice:
    """See `task.training.DeviceData`."""

    scale = LOGITS
    constants: Mapping[str, torch.Tensor] = {}

    def __init__(self, held: PairSet, device: torch.device) -> None:
        from spectral_search.task.registry import task_of

        self._held, self._device, self._task = held, device, task_of(held.task)
        self.examples, self.values = held.examples, held.values
        self._images_MP = torch.from_numpy(held.train.images_MP).to(device)
        self._val = MeasuredPairs(held.val, held.scale, device)

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
        return _SOURCE

    def steps(self, config: TrialConfig) -> int:
        return len(batch_bounds(self.examples, config.fit.batch_size)) - 1

    def batches(
        self,
        wanted: Mapping[str, Wanted],
        source: str,
        batch_size: int,
        order: tuple[int, int],
        counter: tuple[int | str, ...],
    ) -> Iterator[TrainBatch]:
        seed, epoch = order
        train = self._held.train
        if self._held.fresh:
            train = train.redrawn(counter_seed(seed, "pairs", epoch))
        pairs = ImagePairs(train, self._held.scale, self._images_MP)
        drawn = torch.Generator().manual_seed(counter_seed(seed, "order", epoch))
        order_N = torch.randperm(self.examples, generator=drawn).to(self._device)
        target_N = self.targets()
        for index, (start, stop) in enumerate(pairwise(batch_bounds(self.examples, batch_size).tolist())):
            rows_B = order_N[start:stop]
            yield TrainBatch(index, pairs.inputs(rows_B, wanted), target_N[rows_B], torch.zeros_like(rows_B))

    def targets(self) -> torch.Tensor:
        return torch.from_numpy(self._held.train.same_N).to(self._device)

    def measured(self, examples: PairPart) -> MeasuredPairs:
        return self._val if examples is self._held.val else MeasuredPairs(examples, self._held.scale, self._device)

    def val_scores(self, predicted_DN: np.ndarray) -> dict[str, float]:
        return self._task.scores(predicted_DN, self._held.val.same_N)
