"""Spectra as their components in the subspace of the signal: what `signal` and `denoised` train on.

A noisy spectrum's components are Gaussian, being sums over thousands of pixels: their mean and covariance are all there
is to know, and both follow from the noise-free flux and its errors (`clipped_moments`). The covariances of all spectra
are nearly the same up to a scale, so that their factors share a few matrices: factor_i = sum_r mix_ir F_r, and a draw
is mean_i + factor_i xi with xi from N(0, 1). A spectrum then takes K + R numbers instead of thousands.
Shape suffixes: N spectra, B spectra in a batch, K components, R shared matrices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from spectral_search.task.batch_bounds import batch_bounds
from spectral_search.tasks.spectra.noise.noise_model import generator, normal_deviates
from spectral_search.tasks.spectra.training.dataset import shared_tensor


@dataclass(frozen=True)
class Components:
    """Training spectra in the subspace, in units of the noise.

    Attributes:
        mean_NK: Mean of the noisy spectrum's components, float32.
        mix_NR: What the factor of its covariance is mixed of, float32.
        factors_RKK: The shared matrices, float32; the factor times its transpose is the covariance.
        log_g_N: Labels in dex, float32.
        bin_N: T_eff x [M/H] bins, int64.
        covariance_error: Mean relative error of a covariance (Frobenius norm), on spectra that the matrices were not
            made of.
    """

    mean_NK: np.ndarray
    mix_NR: np.ndarray
    factors_RKK: np.ndarray
    log_g_N: np.ndarray
    bin_N: np.ndarray
    covariance_error: float

    def __len__(self) -> int:
        return len(self.mean_NK)

    @property
    def shared(self) -> int:
        """R, how many matrices the factors are mixed of."""
        return len(self.factors_RKK)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, labels not counted."""
        return self.mean_NK.nbytes + self.mix_NR.nbytes + self.factors_RKK.nbytes


@dataclass(frozen=True)
class ComponentBatch:
    """Spectra of one step.

    Attributes:
        index: Counts the steps of the epoch from 0.
        mean_BK: Means of their components.
        mix_BR: Of the factors of their covariances.
        factors_MK: The shared matrices, transposed, one below the other: M = R x K rows.
        log_g_B: Labels in dex.
        bin_B: T_eff x [M/H] bins.
    """

    index: int
    mean_BK: torch.Tensor
    mix_BR: torch.Tensor
    factors_MK: torch.Tensor
    log_g_B: torch.Tensor
    bin_B: torch.Tensor

    def noisy(self, part: slice, counter: tuple[int | str, ...]) -> torch.Tensor:
        """Noisy components of a part of the batch, a new tensor; `counter` names the noise of the whole batch.

        On a CPU the noise of a spectrum depends on its place in the batch alone.
        """
        mean_PK = self.mean_BK[part]
        if not len(self.factors_MK):
            return mean_PK.clone()
        deviate_PK = normal_deviates(mean_PK.shape, mean_PK.device, counter, part.start or 0)
        # (sum_r mix_r F_r) times the deviates as one product: no spectrum needs a K x K factor of its own in memory.
        mixed_PM = (self.mix_BR[part].unsqueeze(2) * deviate_PK.unsqueeze(1)).flatten(1)
        return torch.addmm(mean_PK, mixed_PM, self.factors_MK)


class ComponentSource:
    """Components, shuffled anew each epoch in the order that resident spectra have.

    Args:
        train: The spectra.
        device: Where the batches go; they are small enough to lie there as a whole.
    """

    def __init__(self, train: Components, device: torch.device) -> None:
        self._device = device
        self._mean_NK, self._mix_NR = (shared_tensor(v, device) for v in (train.mean_NK, train.mix_NR))
        self._factors_MK = shared_tensor(train.factors_RKK, device).mT.flatten(0, 1).contiguous()
        self._log_g_N, self._bin_N = shared_tensor(train.log_g_N, device), shared_tensor(train.bin_N, device)

    def steps(self, batch_size: int) -> int:
        return len(batch_bounds(len(self._log_g_N), batch_size)) - 1

    def epoch(self, seed: int, epoch: int, batch_size: int) -> Iterator[ComponentBatch]:
        order_N = torch.randperm(len(self._log_g_N), generator=generator("cpu", seed, "order", epoch))
        order_N = order_N.to(self._device)
        for index, (start, stop) in enumerate(pairwise(batch_bounds(len(order_N), batch_size).tolist())):
            rows_B = order_N[start:stop]
            mean_BK, mix_BR, log_g_B, bin_B = (
                values_N.index_select(0, rows_B)
                for values_N in (self._mean_NK, self._mix_NR, self._log_g_N, self._bin_N)
            )
            yield ComponentBatch(index, mean_BK, mix_BR, self._factors_MK, log_g_B, bin_B)
