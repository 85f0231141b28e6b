"""Counter-based random numbers and the noise model.

Every draw is a function of a counter - (seed, what for, epoch, batch) - and never of shared generator state, so a
trial sees the same noise whatever else runs and whenever it was resumed.
"""

from functools import cache

import numpy as np
import torch

from spectral_search.data.counter import counter_seed

LEVELS = 1 << 16
"""Values that a deviate drawn on a CPU can have, all equally probable: 16 random bits choose one."""


def generator(device: torch.device | str, *counter: int | str) -> torch.Generator:
    """A fresh generator on `device`, seeded by the counter."""
    return torch.Generator(device=device).manual_seed(counter_seed(*counter))


def add_noise(
    flux_BL: torch.Tensor, error_BL: torch.Tensor, noise_level: float, counter: tuple[int | str, ...]
) -> torch.Tensor:
    """One noisy realisation: clip(flux + noise_level * error * N(0, 1), 0, None).

    Args:
        flux_BL: Noise-free flux, float32; not changed.
        error_BL: 1-sigma error in the unit of the flux; 0 marks an invalid pixel, which gets no noise.
        noise_level: Factor on the error; 0 returns the clipped flux.
        counter: Names the noise; another device draws other noise for it.

    Returns:
        A new tensor, shape (B, L), on the device of the flux.
    """
    if noise_level == 0.0:
        return flux_BL.clamp(min=0.0)
    noise_BL = normal_deviates(flux_BL.shape, flux_BL.device, counter)
    torch.addcmul(flux_BL, noise_BL, error_BL, value=noise_level, out=noise_BL)
    return noise_BL.clamp_(min=0.0)


def normal_deviates(shape: torch.Size, device: torch.device, counter: tuple[int | str, ...]) -> torch.Tensor:
    """Standard normal deviates, float32.

    On a CPU by inversion of the distribution function, at half the cost of `torch.Tensor.normal_`: 16 bits of SFC64
    choose one of 65,536 values, each of which stands for an interval of the same probability. Their mean is 0, their
    variance 1, their kurtosis 2.9998, the largest 4.39; the distribution function is off by at most 1e-5.
    """
    if device.type != "cpu":
        return torch.empty(shape, device=device).normal_(generator=generator(device, *counter))
    count = shape.numel()
    raw = np.random.SFC64(counter_seed(*counter)).random_raw(-(-count // 4))
    chosen = torch.from_numpy(raw.view(np.uint16)[:count].astype(np.int32))
    return _levels().index_select(0, chosen).view(shape)


@cache
def _levels() -> torch.Tensor:
    """The mean of N(0, 1) in each of its intervals of equal probability, scaled to a variance of 1; float32."""
    edges = torch.special.ndtri(torch.linspace(0.0, 1.0, LEVELS + 1, dtype=torch.float64))
    density = torch.exp(-0.5 * edges.square()) / (2.0 * torch.pi) ** 0.5
    # The integral of z phi(z) is -phi(z).
    means = (density[:-1] - density[1:]) * LEVELS
    return (means / means.square().mean().sqrt()).float()
