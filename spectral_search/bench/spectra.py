"""Spectra to measure on: simulated sets kept in the cache folder, and larger ones made of a few simulated spectra.

Speed does not depend on what the spectra hold, so where only speed is measured one block of the simulator's is
repeated. Shape suffixes: N spectra, B spectra of a block, L pixels.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from spectral_search.data.dataset import Dataset, as_blocks, freeze, labelled
from spectral_search.data.preprocess import fit_preprocessing
from spectral_search.data.simulate import BLOCK_ROWS, Simulator, simulate
from spectral_search.data.spectra import Spectra
from spectral_search.data.writer import ShardWriter
from spectral_search.spec import home

SEED = 42
CACHE_VERSION = 1
"""Raised with every change of the simulator that changes spectra."""


def cache_folder() -> Path:
    """Where the data sets of benchmarks are kept between runs."""
    return home.cache_folder() / "bench"


def simulated_root(train: int, val: int, pixels: int, progress: Callable[[int, int], None]) -> Path:
    """A data root in the cache folder, float32, without a test set; simulated on first use."""
    folder = cache_folder() / f"simulated-v{CACHE_VERSION}-{train}-{val}-{pixels}"
    if not folder.is_dir():
        partial = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            simulate(
                partial, train=train, val=val, test=0, pixels=pixels, seed=SEED, dtype="float32", progress=progress
            )
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def repeated_shard(path: Path, spectra: int, pixels: int, dtype: str) -> Path:
    """A shard in chunks of 64 spectra, without a mask, that repeats one simulated block."""
    simulator = Simulator(pixels=pixels, seed=SEED)
    block = simulator.block("train", 0, noisy=False)
    labels = pd.DataFrame(block.labels).iloc[np.arange(spectra) % BLOCK_ROWS].reset_index(drop=True)
    wave_angstrom_L = simulator.wave_angstrom_L
    with ShardWriter(
        path, spectra=spectra, pixels=pixels, wave_angstrom_L=wave_angstrom_L, with_mask=False, dtype=dtype
    ) as writer:
        for start in range(0, spectra, BLOCK_ROWS):
            rows = slice(0, min(BLOCK_ROWS, spectra - start))
            writer.write(start, block.flux_BL[rows], block.error_BL[rows])
        writer.write_params(labels)
    return path


def repeated_dataset(train: int, val: int, pixels: int) -> Dataset:
    """What a fit gets, in memory, made of one simulated block; val has a single noise draw."""
    block = Simulator(pixels=pixels, seed=SEED).block("train", 0, noisy=False)
    flux_BL, error_BL = block.flux_BL.astype(np.float32), np.nan_to_num(block.error_BL).astype(np.float32)
    labels = pd.DataFrame(block.labels)

    def repeat(count: int) -> Spectra:
        rows_N = np.arange(count) % BLOCK_ROWS
        return Spectra(flux_BL[rows_N], error_BL[rows_N], None, labels.iloc[rows_N].reset_index(drop=True))

    spectra, val_spectra = repeat(train), repeat(val)
    prep = fit_preprocessing(as_blocks(spectra), spectra.labels["log_g"].to_numpy(), pixels)
    frozen = freeze(labelled(val_spectra, prep), None, draws=1, noise_level=1.0, counter=(SEED, "val"))
    return Dataset(labelled(spectra, prep), frozen, prep, 1.0)
