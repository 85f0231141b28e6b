"""Epochs of training batches, in an order that follows from (seed, epoch) alone.

Shape suffixes: N spectra, B spectra in a batch, L pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch

from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.task.data_plan import DEVICE_SHARE
from spectral_search.tasks.spectra.noise.noise_model import add_noise, generator, noisy_rows
from spectral_search.tasks.spectra.training.dataset import Labelled, shared_tensor


@dataclass(frozen=True)
class Batch:
    """Noise-free spectra of one step.

    Attributes:
        index: Counts the steps of the epoch from 0.
        flux_NL: The batch's spectra, or where `rows_B` is set the set that it is a part of.
        error_NL: Likewise.
        log_g_B: Labels in dex, on the device that trains.
        bin_B: T_eff x [M/H] bins, likewise.
        rows_B: The batch's rows of `flux_NL` and `error_NL`: they are gathered only where they are used.
    """

    index: int
    flux_NL: torch.Tensor
    error_NL: torch.Tensor
    log_g_B: torch.Tensor
    bin_B: torch.Tensor
    rows_B: torch.Tensor | None = None

    def spectra(self, part: slice = slice(None)) -> tuple[torch.Tensor, torch.Tensor]:
        """Flux and error of a part of the batch, float32, on the device that trains."""
        if self.rows_B is None:
            return self.flux_NL[part], self.error_NL[part]
        rows_P, device = self.rows_B[part], self.log_g_B.device
        flux_PL, error_PL = (
            values_NL.index_select(0, rows_P).to(device).float() for values_NL in (self.flux_NL, self.error_NL)
        )
        return flux_PL, error_PL

    def noisy(
        self, part: slice, noise_level: float, counter: tuple[int | str, ...]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noisy flux and error of a part of the batch, likewise; `counter` names the noise of the whole batch."""
        first = part.start or 0
        on_cpu = self.log_g_B.device.type == "cpu"
        if self.rows_B is not None and on_cpu and self.flux_NL.dtype == torch.float32 and noise_level > 0.0:
            return noisy_rows(self.flux_NL, self.error_NL, self.rows_B[part], noise_level, counter, first)
        flux_PL, error_PL = self.spectra(part)
        return add_noise(flux_PL, error_PL, noise_level, counter, first), error_PL


class TrainSource(Protocol):
    """Training spectra, delivered once each in every epoch."""

    def steps(self, batch_size: int) -> int:
        """Batches of an epoch."""

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        """The batches of one epoch (counted from 1) in their order."""


def _fits_device(nbytes: int, device: torch.device, share: float) -> bool:
    """Whether spectra of so many bytes leave a device room to train; always true of the CPU, where they are already."""
    if device.type != "cuda":
        return True
    _, total = torch.cuda.mem_get_info(device)
    return nbytes <= DEVICE_SHARE * share * total


class ResidentSource:
    """Spectra held in memory, shuffled anew each epoch.

    Args:
        train: The spectra.
        device: Where the batches go.
        share: Part of the device that this process may fill. Spectra that take more than half of it stay in the host's
            memory, which all trials of a node share, and go over batch by batch.
    """

    def __init__(self, train: Labelled, device: torch.device, share: float = 1.0) -> None:
        self._device = device
        self._home = device if _fits_device(train.nbytes, device, share) else torch.device("cpu")
        self._flux_NL = shared_tensor(train.flux_NL, self._home)
        self._error_NL = shared_tensor(train.error_NL, self._home)
        self._log_g_N = shared_tensor(train.log_g_N, self._home)
        self._bin_N = shared_tensor(train.bin_N, self._home)

    def steps(self, batch_size: int) -> int:
        return len(batch_bounds(len(self._log_g_N), batch_size)) - 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[Batch]:
        # The order is drawn on the CPU: it must not depend on the kind of device.
        order_N = torch.randperm(len(self._log_g_N), generator=generator("cpu", seed, "order", epoch))
        order_N = order_N.to(self._home)
        bounds = batch_bounds(len(order_N), batch_size)
        for index, (start, stop) in enumerate(pairwise(bounds.tolist())):
            rows_B = order_N[start:stop]
            yield Batch(
                index,
                self._flux_NL,
                self._error_NL,
                self._log_g_N.index_select(0, rows_B).to(self._device),
                self._bin_N.index_select(0, rows_B).to(self._device),
                rows_B,
            )
