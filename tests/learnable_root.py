"""A data root in the real layout whose spectra an MLP learns in seconds."""

from pathlib import Path

import numpy as np
from small_dataset import PIXELS, make_spectra

from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter


def write_root(
    root: Path, *, train: int = 512, val: int = 256, test: int = 128, pixels: int = PIXELS, with_noisy: bool = False
) -> Path:
    """Write train_0, val_0 and test_0; parts of no spectra are left out.

    Args:
        root: The folder.
        train, val, test: Spectra of each part.
        pixels: Of each spectrum.
        with_noisy: Whether val and test carry recorded noise.
    """
    wave_L = np.linspace(7100.0, 8850.0, pixels)
    for seed, (part, count) in enumerate({"train": train, "val": val, "test": test}.items(), start=1):
        if not count:
            continue
        spectra = make_spectra(count, seed, pixels=pixels)
        noise_NL = np.random.default_rng(seed).standard_normal(spectra.flux_NL.shape)
        noisy = with_noisy and part != "train"
        with ShardWriter(
            root / f"{part}_0" / "dataset.h5", spectra=count, pixels=pixels, wave_angstrom_L=wave_L, with_noisy=noisy
        ) as writer:
            noisy_NL = np.clip(spectra.flux_NL + spectra.error_NL * noise_NL, 0, None) if noisy else None
            writer.write(0, spectra.flux_NL, spectra.error_NL, noisy_NL)
            writer.write_params(spectra.labels)
    return root
