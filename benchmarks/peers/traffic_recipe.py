"""The recipe of traffic that a peer trains, in plain PyTorch, as its user would write it without spectral_search.

A perceptron that all sensors share. The dataset cuts one window out of the table in its `__getitem__`, as tutorials on
time series do, and a DataLoader collates them; what comes beside the readings is laid out once. All in float32.
Shape suffixes: T steps of time, S sensors, W steps that are read, H steps to predict, C channels, B batch.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

_HORIZON = 12
_DAY = 24 * 60 // 5
_SHARES = 0.7, 0.8
"""Where training ends, and val."""
_SMOOTHED = 7
"""Steps that what a sensor usually reads is the mean of."""

Arrays = dict[str, Any]


def load_arrays(root: str) -> Arrays:
    """Readings, and what networks are told beside them, each for every step and sensor; 0 is no reading."""
    table = pd.read_csv(root).replace(0.0, np.nan)
    values_TS = table.to_numpy(np.float32)
    first = round(len(table) * _SHARES[0])
    mean, std = float(np.nanmean(values_TS[:first])), float(np.nanstd(values_TS[:first]))
    filled_TS = (table.ffill().fillna(mean).to_numpy(np.float32) - mean) / std
    step_T = np.arange(len(table))
    by_time = table[:first].groupby(step_T[:first] % _DAY).mean().reindex(range(_DAY)).ffill().bfill()
    around = pd.concat([by_time.tail(_SMOOTHED), by_time, by_time.head(_SMOOTHED)])
    smooth_MS = around.rolling(_SMOOTHED, center=True).mean().to_numpy(np.float32)[_SMOOTHED:-_SMOOTHED]
    usual_TS = (smooth_MS[(step_T + _HORIZON) % _DAY] - mean) / std
    phase_T = 2 * np.pi * (step_T % _DAY) / _DAY
    clock_TS = [np.broadcast_to(f(phase_T)[:, None], values_TS.shape) for f in (np.sin, np.cos)]
    channels = [filled_TS, np.isfinite(values_TS), usual_TS, *clock_TS]
    return {
        "read": np.stack(channels).astype(np.float32),
        "target": (values_TS - mean) / std,
        "std": std,
        "train": (0, first),
        "val": (first, round(len(table) * _SHARES[1])),
    }


class WindowsOfTime(Dataset[Any]):
    """Windows of one part of time: what is read, and the hour after it."""

    def __init__(self, arrays: Arrays, part: str, steps: int, history: int, most: int) -> None:
        self._read_CTS, self._target_TS = torch.from_numpy(arrays["read"]), torch.from_numpy(arrays["target"])
        start, end = arrays[part]
        origins = np.arange(start + history, end - _HORIZON + 1)
        self._origins = origins[np.linspace(0, len(origins) - 1, min(most, len(origins))).round().astype(int)].tolist()
        self._steps = steps

    def __len__(self) -> int:
        return len(self._origins)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        origin = self._origins[place]
        read_CWS = self._read_CTS[:, origin - self._steps : origin]
        return read_CWS.permute(2, 0, 1), self._target_TS[origin : origin + _HORIZON].T


class SharedPerceptron(nn.Module):
    """What it makes of each sensor's window and of a few numbers of the sensor's own is added to the last reading."""

    def __init__(self, sensors: int, features: int, params: dict[str, Any]) -> None:
        super().__init__()
        own = params["model.row_embedding"]
        self.own_SE = nn.Parameter(torch.randn(sensors, own) * (features + own) ** -0.5)
        widths, layers = [features + own, *params["model.hidden"]], []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(params["model.dropout"])]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], _HORIZON))

    def forward(self, x_BSCW: Tensor) -> Tensor:
        own_BSE = self.own_SE.expand(len(x_BSCW), -1, -1)
        return self.layers(torch.cat([x_BSCW.flatten(2), own_BSE], 2)) + x_BSCW[:, :, :1, -1]


class Training:
    """One trial: a network, its optimiser and its loaders.

    Args:
        arrays: From `load_arrays`.
        recipe: batch_size, epochs, grad_clip, history, num_train, num_val, seed.
        params: fit.lr, fit.weight_decay, data.input.steps, and model.hidden, model.dropout, model.row_embedding.
    """

    def __init__(self, arrays: Arrays, recipe: dict[str, Any], params: dict[str, Any]) -> None:
        torch.manual_seed(recipe["seed"])
        self._std, self._clip, steps = arrays["std"], recipe["grad_clip"], params["data.input.steps"]
        of_part = {
            part: WindowsOfTime(arrays, part, steps, recipe["history"], recipe[f"num_{part}"])
            for part in ("train", "val")
        }
        self._loader = DataLoader(of_part["train"], batch_size=recipe["batch_size"], shuffle=True)
        self._val = DataLoader(of_part["val"], batch_size=recipe["batch_size"])
        channels, _, sensors = arrays["read"].shape
        self.model = SharedPerceptron(sensors, channels * steps, params)
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), params["fit.lr"], weight_decay=params["fit.weight_decay"], fused=True
        )
        self._scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, params["fit.lr"], epochs=recipe["epochs"], steps_per_epoch=len(self._loader)
        )

    def epoch(self) -> float:
        """Train one epoch; the mean absolute error of the val windows, in the unit of the readings."""
        self.model.train()
        for x_BSCW, target_BSH in self._loader:
            off_BSH = (self.model(x_BSCW) - target_BSH).abs()
            loss = off_BSH.nanmean()
            self._optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
            self._optimizer.step()
            self._scheduler.step()
        return self._mae()

    @torch.no_grad()
    def _mae(self) -> float:
        self.model.eval()
        total, known = 0.0, 0
        for x_BSCW, target_BSH in self._val:
            off_BSH = (self.model(x_BSCW) - target_BSH).abs()
            total, known = total + float(off_BSH.nansum()), known + int(off_BSH.isfinite().sum())
        return total / known * self._std
