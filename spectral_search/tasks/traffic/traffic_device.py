"""Readings on the device of a process, as training asks for them: windows are cut out of the series batch by batch.

Shape suffixes: B examples of a batch, C channels, S sensors, T steps, H steps to predict, N windows, O = S x H.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from spectral_search.spec.run import RunSpec
from spectral_search.task.training import MeasuredPart, Reader, Wanted
from spectral_search.tasks.traffic.definition import TASK
from spectral_search.tasks.traffic.readings import Readings, Windows
from spectral_search.tasks.traffic.section import HORIZON, TIME_CHANNELS, TrafficInput
from spectral_search.tasks.traffic.traffic_scale import TrafficScale
from spectral_search.train.array_run import InputsOf, RowsOnDevice


@dataclass(frozen=True)
class TrafficSet:
    """See `task.training.TrainingSet`."""

    train: Windows
    val: Windows
    scale: TrafficScale
    per_epoch: int | None = None
    """Training windows of an epoch, all where absent."""
    task: str = TASK.name

    @property
    def examples(self) -> int:
        return min(len(self.train), self.per_epoch or len(self.train))

    @property
    def drawn_from(self) -> int:
        return len(self.train)

    @property
    def values(self) -> int:
        return len(self.train.readings.sensors)

    def reader(self, spec: RunSpec) -> Reader:
        return "thread"

    def on_device(self, device: torch.device, *, share: float = 1.0, reader: Reader = "thread") -> "TrafficOnDevice":
        return TrafficOnDevice(self, device)


class Series:
    """Readings on a device, standardised, with all that networks may be told beside them.

    Args:
        readings: The readings.
        scale: Of the training time.
        device: Where.
    """

    def __init__(self, readings: Readings, scale: TrafficScale, device: torch.device) -> None:
        self.device = device
        value_TS = scale.target.standardise(torch.from_numpy(readings.filled_TS))
        self._value_TS = torch.nan_to_num_(value_TS, nan=0.0).to(device)  # no reading yet: the mean of all
        self._known_TS = torch.from_numpy(np.isfinite(readings.values_TS)).to(device)
        # Ahead by the horizon, so that a window's last rows tell what is usual in the hour to be predicted.
        self._usual_TS = torch.from_numpy(scale.usual_TS(readings, later=HORIZON)).to(device)
        self._clock_TC = torch.from_numpy(readings.clock_T4).to(device)
        # Not the filled ones: what nobody read must not be an answer to learn.
        self._target_TS = scale.target.standardise(torch.from_numpy(readings.values_TS)).to(device)

    def inputs(self, origin_B: torch.Tensor, given: TrafficInput) -> torch.Tensor:
        """What networks read of windows, of shape (B, C, S x T)."""
        rows_BT = origin_B[:, None] + torch.arange(-given.steps, 0, device=self.device)
        channels = [self._value_TS[rows_BT].transpose(1, 2)]
        if given.known:
            channels.append(self._known_TS[rows_BT].transpose(1, 2).float())
        if given.usual:
            channels.append(self._usual_TS[rows_BT].transpose(1, 2))
        clock_BCT = self._clock_TC[:, : TIME_CHANNELS[given.time]][rows_BT].permute(2, 0, 1)
        channels += [clock_BT[:, None].expand_as(channels[0]) for clock_BT in clock_BCT]
        return torch.stack(channels, dim=1).flatten(2)

    def targets(self, origin_B: torch.Tensor) -> torch.Tensor:
        """What is to be predicted of windows, of shape (B, O), NaN where there is no reading."""
        rows_BH = origin_B[:, None] + torch.arange(HORIZON, device=self.device)
        return self._target_TS[rows_BH].transpose(1, 2).flatten(1)


class MeasuredWindows:
    """See `task.training.Measured`."""

    draws = 1

    def __init__(self, windows: Windows, series: Series) -> None:
        self._origin_N, self._series = torch.from_numpy(windows.origin_N).to(series.device), series
        self.count = len(windows)

    def parts(self, wanted: Mapping[str, Wanted], rows: int) -> Iterator[MeasuredPart]:
        for start in range(0, self.count, rows):
            part = slice(start, min(start + rows, self.count))
            origin_B = self._origin_N[part]
            yield MeasuredPart(0, part, _made_inputs(self._series, origin_B, wanted), torch.zeros_like(origin_B))


def _made_inputs(series: Series, origin_B: torch.Tensor, wanted: Mapping[str, Wanted]) -> dict[str, torch.Tensor]:
    """The inputs of windows that some networks read, by key."""
    return {key: series.inputs(origin_B, want.config.data.input).to(want.format) for key, want in wanted.items()}


class TrafficOnDevice(RowsOnDevice):
    """See `task.training.DeviceData`."""

    def __init__(self, held: TrafficSet, device: torch.device) -> None:
        super().__init__(held, device)
        self._held, self.scale = held, held.scale.target
        self._series = Series(held.train.readings, held.scale, device)
        self.constants = {"adjacency": torch.from_numpy(held.scale.adjacency_SS).to(device)}
        self._origin_N = torch.from_numpy(held.train.origin_N).to(device)
        self._val, self._val_target_NO = MeasuredWindows(held.val, self._series), held.val.target_NO

    def inputs_of(self, seed: int, epoch: int) -> InputsOf:
        return lambda rows_B, wanted: _made_inputs(self._series, self._origin_N[rows_B], wanted)

    def targets_of(self, rows_B: torch.Tensor) -> torch.Tensor:
        return self._series.targets(self._origin_N[rows_B])  # those of all windows repeat each reading HORIZON times

    def targets(self) -> torch.Tensor:
        return self._series.targets(self._origin_N)

    def measured(self, examples: Windows) -> MeasuredWindows:
        return self._val if examples is self._held.val else MeasuredWindows(examples, self._series)

    def val_scores(self, predicted_DN: np.ndarray) -> dict[str, float]:
        return self._task.scores(predicted_DN, self._val_target_NO)
