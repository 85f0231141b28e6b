"""Writes small shards in the real layout, whose every flux names its row and pixel."""

from pathlib import Path

import numpy as np
import pandas as pd

from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter

PIXELS = 24


def fake_labels(spectra: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": np.arange(spectra) + 1000 * seed,
            "T_eff": rng.uniform(3750.0, 6000.0, spectra),
            "log_g": rng.uniform(1.0, 5.0, spectra),
            "M_H": rng.uniform(-1.0, 0.75, spectra),
            "snr": rng.uniform(3.0, 28.0, spectra),
        }
    )


def flux_of(rows: np.ndarray, pixels: int = PIXELS, shift: float = 0.0) -> np.ndarray:
    """The flux that `make_shard` writes for rows of a shard: every value names its row and pixel."""
    return (shift + rows[:, None] + np.arange(pixels)[None, :] / 1024.0 + 1.0).astype(np.float32)


def make_shard(
    path: Path,
    spectra: int,
    *,
    pixels: int = PIXELS,
    seed: int = 0,
    labels: pd.DataFrame | None = None,
    wave_angstrom_L: np.ndarray | None = None,
    nan_edges: bool = True,
    shift: float = 0.0,
    mask_BL: np.ndarray | None = None,
    **storage: object,
) -> Path:
    """Writes a shard of `flux_of`; error is NaN at both ends unless nan_edges=False."""
    wave_L = np.linspace(7100.0, 8850.0, pixels) if wave_angstrom_L is None else wave_angstrom_L
    flux_BL = flux_of(np.arange(spectra), pixels, shift)
    error_BL = np.full_like(flux_BL, 0.5)
    if nan_edges:
        error_BL[:, [0, -1]] = np.nan
    storage.setdefault("chunk_rows", 8)
    storage.setdefault("with_mask", mask_BL is not None)
    with ShardWriter(path, spectra=spectra, pixels=pixels, wave_angstrom_L=wave_L, **storage) as writer:
        writer.write(0, flux_BL, error_BL, flux_BL + 0.25 if storage.get("with_noisy") else None, mask_BL)
        writer.write_params(fake_labels(spectra, seed) if labels is None else labels)
    return path
