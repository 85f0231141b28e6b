"""Counter-based random numbers and the noise model.

Every draw is a function of a counter - (seed, what for, epoch, batch) - and never of shared generator state, so a
trial sees the same noise whatever else runs and whenever it was resumed.
"""

import torch

from spectral_search.task.counter import counter_seed
from spectral_search.tasks.spectra.noise.noise_kernel import fill_deviates, fill_noisy


def generator(device: torch.device | str, *counter: int | str) -> torch.Generator:
    """A fresh generator on `device`, seeded by the counter."""
    return torch.Generator(device=device).manual_seed(counter_seed(*counter))


def add_noise(
    flux_BL: torch.Tensor, error_BL: torch.Tensor, noise_level: float, counter: tuple[int | str, ...], first: int = 0
) -> torch.Tensor:
    """One noisy realisation: clip(flux + noise_level * error * N(0, 1), 0, None).

    Args:
        flux_BL: Noise-free flux, float32; not changed.
        error_BL: 1-sigma error in the unit of the flux; 0 marks an invalid pixel, which gets no noise.
        noise_level: Factor on the error; 0 returns the clipped flux.
        counter: Names the noise; another device draws other noise for it.
        first: Position of the first of these spectra in what the counter names. On a CPU the noise of a spectrum
            depends on its position alone, not on which others are drawn with it.

    Returns:
        A new tensor, shape (B, L), on the device of the flux.
    """
    if noise_level == 0.0:
        return flux_BL.clamp(min=0.0)
    if flux_BL.device.type == "cpu":
        flux_BL, error_BL = (values_BL.contiguous() for values_BL in (flux_BL, error_BL))
        return noisy_rows(flux_BL, error_BL, torch.arange(len(flux_BL)), noise_level, counter, first)[0]
    noise_BL = normal_deviates(flux_BL.shape, flux_BL.device, counter, first)
    torch.addcmul(flux_BL, noise_BL, error_BL, value=noise_level, out=noise_BL)
    return noise_BL.clamp_(min=0.0)


def noisy_rows(
    flux_NL: torch.Tensor,
    error_NL: torch.Tensor,
    rows_B: torch.Tensor,
    noise_level: float,
    counter: tuple[int | str, ...],
    first: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of a set on the CPU with the noise of `add_noise`, and their errors: gathered in the same pass.

    Args:
        flux_NL: Noise-free flux, float32 and contiguous: nothing of a large set is copied but the rows.
        error_NL: 1-sigma error, likewise.
        rows_B: Which rows, int64.
        noise_level: Factor on the error, above 0.
        counter: Names the noise.
        first: Position of the first of the rows in what the counter names.

    Returns:
        Flux and error of the rows, new tensors of shape (B, L).
    """
    noisy_BL = torch.empty(len(rows_B), flux_NL.shape[1])
    copied_BL = torch.empty_like(noisy_BL)
    low, high = _seed_words(counter)
    sources = flux_NL.numpy(), error_NL.numpy(), rows_B.numpy()
    fill_noisy(*sources, noise_level, first, low, high, noisy_BL.numpy(), copied_BL.numpy())
    return noisy_BL, copied_BL


def normal_deviates(
    shape: torch.Size, device: torch.device, counter: tuple[int | str, ...], first: int = 0
) -> torch.Tensor:
    """Standard normal deviates, float32, of shape (B, L), for positions from `first` on in what the counter names."""
    if device.type != "cpu":
        return torch.empty(shape, device=device).normal_(generator=generator(device, *counter, first))
    deviate_BL = torch.empty(shape)
    fill_deviates(deviate_BL.numpy(), first, *_seed_words(counter))
    return deviate_BL


def _seed_words(counter: tuple[int | str, ...]) -> tuple[int, int]:
    """The low and the high 32 bits of the counter's seed."""
    high, low = divmod(counter_seed(*counter), 1 << 32)
    return low, high
