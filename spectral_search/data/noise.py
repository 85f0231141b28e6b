"""Counter-based random numbers and the noise model.

Every draw is a function of a counter - (seed, what for, epoch, batch) - and never of shared generator state, so a
trial sees the same noise whatever else runs and whenever it was resumed.
"""

import torch

from spectral_search.data.counter import counter_seed


def generator(device: torch.device | str, *counter: int | str) -> torch.Generator:
    """A fresh generator on `device`, seeded by the counter."""
    return torch.Generator(device=device).manual_seed(counter_seed(*counter))


def add_noise(flux_BL: torch.Tensor, error_BL: torch.Tensor, noise_level: float, rng: torch.Generator) -> torch.Tensor:
    """One noisy realisation: clip(flux + noise_level * error * N(0, 1), 0, None).

    Args:
        flux_BL: Noise-free flux, float32; not changed.
        error_BL: 1-sigma error in the unit of the flux; 0 marks an invalid pixel, which gets no noise.
        noise_level: Factor on the error; 0 returns the clipped flux.
        rng: Generator on the device of the flux.

    Returns:
        A new tensor, shape (B, L).
    """
    if noise_level == 0.0:
        return flux_BL.clamp(min=0.0)
    noise_BL = torch.empty_like(flux_BL).normal_(generator=rng)
    torch.addcmul(flux_BL, noise_BL, error_BL, value=noise_level, out=noise_BL)
    return noise_BL.clamp_(min=0.0)
