"""Dropout of a step whose draws are a network's own, whatever shares its products.

Shape suffixes: B batch, W width of a layer.
"""

from collections.abc import Sequence

import numpy as np
import torch

from spectral_search.models.dropout_bits import fill_factors
from spectral_search.train.dropout_kernel import WordStream


class StepDropout:
    """Draws factors for one layer after the other.

    Args:
        seeds: Of each network, for this step.
        device: Where the networks train.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._draws = [_CpuDraws(seed) if device.type == "cpu" else _DeviceDraws(seed, device) for seed in seeds]

    def bits(self, number: int, width: int, examples: int) -> torch.Tensor:
        """The random bits of a network's next layer, int16 of shape (W, B): on a CPU what its factors are made of."""
        draws = self._draws[number]
        if not isinstance(draws, _CpuDraws):
            raise ValueError("only a CPU's draws are of bits")
        return draws.bits(width, examples)

    def stream(self, number: int) -> int:
        """Where the state of a network's random words lies, on a CPU, for `fill_words`, which moves it on."""
        draws = self._draws[number]
        if not isinstance(draws, _CpuDraws):
            raise ValueError("only a CPU's draws are of bits")
        return draws.stream.address

    def __call__(self, number: int, p: float, factor_WB: torch.Tensor) -> None:
        """Fill factors of a network with 0, with probability p, or 1 / (1 - p)."""
        if p == 0.0:
            factor_WB.fill_(1.0)
        else:
            self._draws[number].fill(p, factor_WB)


class _CpuDraws:
    def __init__(self, seed: int) -> None:
        self.stream = WordStream(seed)

    def bits(self, width: int, examples: int) -> torch.Tensor:
        # A word of 64 bits holds four values, and the last word may be used in part.
        words = self.stream.next((width * examples + 3) // 4)
        return torch.from_numpy(words.view(np.int16))[: width * examples].view(width, examples)

    def fill(self, p: float, factor_WB: torch.Tensor) -> None:
        fill_factors(factor_WB, self.bits(*factor_WB.shape), p)


class _DeviceDraws:
    def __init__(self, seed: int, device: torch.device) -> None:
        self._rng = torch.Generator(device).manual_seed(seed)

    def fill(self, p: float, factor_WB: torch.Tensor) -> None:
        factor_WB.bernoulli_(1.0 - p, generator=self._rng).mul_(1.0 / (1.0 - p))
