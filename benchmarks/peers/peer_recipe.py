"""The recipe that every peer trains, in plain PyTorch, as its user would write it without spectral_search.

It is step1's: an MLP on standardised noisy flux, AdamW, gradient clipping, constant or cosine learning rate, noise
drawn afresh for every batch, R2 of log g on the val shard's recorded noise after every epoch, all in float32.
What a user who knows PyTorch does well is done well: spectra in memory as tensors, whole batches indexed at once
instead of spectrum by spectrum, the fused optimiser, no gradient bookkeeping in evaluation.
Shape suffixes: N spectra, B batch, L pixels.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

Arrays = dict[str, np.ndarray]


def load_arrays(root: str) -> Arrays:
    """Training and val spectra of a data root in memory, and the statistics that the input needs."""
    flux_NL, error_NL, log_g_N = _read(root, "train", "flux")
    noisy_NL, _, val_log_g_N = _read(root, "val", "noisy")
    scale = np.float32(1.0 / np.median(flux_NL[0]))  # fluxes of 1e-17 have no squares in float32
    valid_L = np.isfinite(error_NL).all(axis=0)
    flux_NL *= scale
    error_NL = np.where(valid_L, error_NL * scale, np.float32(0.0))
    mean_L = flux_NL.mean(axis=0)
    variance_L = flux_NL.var(axis=0) + np.square(error_NL).mean(axis=0)
    return {
        "flux": flux_NL,
        "error": error_NL,
        "log_g": log_g_N,
        "val_noisy": noisy_NL * scale,
        "val_log_g": val_log_g_N,
        "mean": mean_L,
        "inverse_std": (valid_L / np.sqrt(variance_L)).astype(np.float32),
    }


def _read(root: str, split: str, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    (path,) = Path(root).glob(f"{split}_*/dataset.h5")
    with h5py.File(path, "r") as file:
        arrays = file["dataset/arrays"]
        flux_NL, error_NL = (arrays[key]["value"][:].astype(np.float32, copy=False) for key in (name, "error"))
    return flux_NL, error_NL, pd.read_hdf(path, "dataset/params")["log_g"].to_numpy(np.float32)


class NoisySpectra(Dataset[Any]):
    """Training spectra with fresh noise each time they are asked for, a whole batch at once."""

    def __init__(self, arrays: Arrays) -> None:
        self._flux_NL, self._error_NL = torch.from_numpy(arrays["flux"]), torch.from_numpy(arrays["error"])
        self._log_g_N = torch.from_numpy(arrays["log_g"])

    def __len__(self) -> int:
        return len(self._log_g_N)

    def __getitems__(self, rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """PyTorch's hook for batched fetching."""
        rows_B = torch.tensor(rows)
        flux_BL = self._flux_NL.index_select(0, rows_B)
        noisy_BL = torch.randn_like(flux_BL).mul_(self._error_NL.index_select(0, rows_B)).add_(flux_BL).clamp_(min=0.0)
        return noisy_BL, self._log_g_N.index_select(0, rows_B)


class Training:
    """One trial: a network, its optimiser and its loader.

    Args:
        arrays: From `load_arrays`.
        recipe: batch_size, epochs, grad_clip, hidden, seed, workers.
        params: fit.lr, fit.weight_decay, fit.schedule, model.dropout.
    """

    def __init__(self, arrays: Arrays, recipe: dict[str, Any], params: dict[str, Any]) -> None:
        torch.manual_seed(recipe["seed"])
        self._clip = recipe["grad_clip"]
        self._mean_L, self._inverse_std_L = (torch.from_numpy(arrays[key]) for key in ("mean", "inverse_std"))
        self._centre, self._spread = float(arrays["log_g"].mean()), float(arrays["log_g"].std())
        self._val_noisy_NL = torch.from_numpy(arrays["val_noisy"])
        self._val_log_g_N = arrays["val_log_g"].astype(np.float64)
        self._loader = DataLoader(
            NoisySpectra(arrays),
            batch_size=recipe["batch_size"],
            shuffle=True,
            num_workers=recipe["workers"],
            persistent_workers=recipe["workers"] > 0,
            collate_fn=_as_it_is,
        )
        self.model = _mlp(len(arrays["mean"]), recipe["hidden"], params["model.dropout"])
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), params["fit.lr"], weight_decay=params["fit.weight_decay"], fused=True
        )
        steps = recipe["epochs"] * len(self._loader)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=steps)
        self._scheduler = cosine if params["fit.schedule"] == "cosine" else None

    def epoch(self) -> float:
        """Train one epoch; R2 of log g on the val set."""
        self.model.train()
        for noisy_BL, log_g_B in self._loader:
            predicted_B = self.model(self._input(noisy_BL)).squeeze(1)
            loss = nn.functional.mse_loss(predicted_B, (log_g_B - self._centre) / self._spread)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self._clip)
            self._optimizer.step()
            if self._scheduler is not None:
                self._scheduler.step()
        return self._val_r2()

    @torch.no_grad()
    def _val_r2(self) -> float:
        self.model.eval()
        parts = []
        for noisy_BL in self._val_noisy_NL.split(1024):
            parts.append(self.model(self._input(noisy_BL)).squeeze(1))
        predicted_N = (torch.cat(parts) * self._spread + self._centre).numpy().astype(np.float64)
        true_N = self._val_log_g_N
        return float(1.0 - np.sum((true_N - predicted_N) ** 2) / np.sum((true_N - true_N.mean()) ** 2))

    def _input(self, noisy_BL: torch.Tensor) -> torch.Tensor:
        return (noisy_BL - self._mean_L).mul_(self._inverse_std_L)


def _as_it_is(batch: Any) -> Any:
    return batch


def _mlp(pixels: int, hidden: list[int], dropout: float) -> nn.Sequential:
    """Linear - ReLU - dropout layers and a linear head, with PyTorch's own initialisation."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(pixels, width), nn.ReLU(), nn.Dropout(dropout)]
        pixels = width
    return nn.Sequential(*layers, nn.Linear(pixels, 1))


def trained(arrays: Arrays, recipe: dict[str, Any], params: dict[str, Any]) -> Iterator[float]:
    """Val R2 after each epoch of one trial."""
    training = Training(arrays, recipe, params)
    for _ in range(recipe["epochs"]):
        yield training.epoch()


def dated(curve: Iterator[float]) -> Iterator[tuple[float, float]]:
    """The epochs of a curve with the time of each, in seconds since 1970."""
    for val_r2 in curve:
        yield time.time(), val_r2


def main(search: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Run a peer: `python peer.py CONFIG.json` prints one JSON line."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python {sys.argv[0]} CONFIG.json")
    started = time.perf_counter()
    found = search(json.loads(Path(sys.argv[1]).read_text()))
    print(json.dumps({**found, "wall_seconds": round(time.perf_counter() - started, 2)}))
