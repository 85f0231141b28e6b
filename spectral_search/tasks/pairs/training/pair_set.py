"""Pairs as training reads them, see `task.training`: images stay uint8, and become inputs batch by batch.

Shape suffixes: D draws, of which there is one, M images, P pixels of an image, N pairs, B pairs of a batch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from spectral_search.spec.run import RunSpec
from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.task.counter import counter_seed
from spectral_search.task.training import MeasuredPart, Reader, TargetScale, TrainBatch, Wanted
from spectral_search.tasks.pairs.images.pair_part import PairPart
from spectral_search.train.array_run import InputsOf, RowsOnDevice

LOGITS = TargetScale(0.0, 1.0)
"""Targets are 0 and 1, and outputs logits, as they are."""


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
    images_a_class: int | None = None

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


class PairsOnDevice(RowsOnDevice):
    """See `task.training.DeviceData`."""

    scale = LOGITS

    def __init__(self, held: PairSet, device: torch.device) -> None:
        super().__init__(held, device)
        self._held = held
        self._images_MP = torch.from_numpy(held.train.images_MP).to(device)
        self._same_N = torch.from_numpy(held.train.same_N).to(device)
        self._val = MeasuredPairs(held.val, held.scale, device)

    def inputs_of(self, seed: int, epoch: int) -> InputsOf:
        train = self._held.train
        if self._held.fresh:
            train = train.redrawn(counter_seed(seed, "pairs", epoch))
        return ImagePairs(train, self._held.scale, self._images_MP).inputs

    def batches(
        self,
        wanted: Mapping[str, Wanted],
        source: str,
        batch_size: int,
        order: tuple[int, int],
        counter: tuple[int | str, ...],
    ) -> Iterator[TrainBatch]:
        if (each := self._held.images_a_class) is None:
            yield from super().batches(wanted, source, batch_size, order, counter)
            return
        for index, images in enumerate(np.diff(batch_bounds(self.examples, batch_size)).tolist()):
            row_I, pair_Q2, same_Q = self._held.train.together(images, each, counter_seed(*order, "together", index))
            # The first half of the images are first ones, where two come together.
            grey_2BP = self._held.scale(self._images_MP[torch.from_numpy(row_I).to(self._device)]).unflatten(0, (2, -1))
            inputs = {key: grey_2BP.transpose(0, 1).to(want.format) for key, want in wanted.items()}
            same, places = (torch.from_numpy(array).to(self._device) for array in (same_Q, pair_Q2))
            yield TrainBatch(index, inputs, same, places)

    def targets(self) -> torch.Tensor:
        return self._same_N

    def measured(self, examples: PairPart) -> MeasuredPairs:
        return self._val if examples is self._held.val else MeasuredPairs(examples, self._held.scale, self._device)

    def val_scores(self, predicted_DN: np.ndarray) -> dict[str, float]:
        return self._task.scores(predicted_DN, self._held.val.same_N)
