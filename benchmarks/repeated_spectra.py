"""Spectra to measure on: simulated sets kept in the cache folder, and larger ones made of a few simulated spectra.

Speed does not depend on what the spectra hold, so where only speed is measured one block of the simulator's is
repeated. Shape suffixes: N spectra, B spectra of a block, L pixels, K components, R shared matrices.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from spectral_search.spec import home_folder as home
from spectral_search.tasks.spectra.noise.clipped_moments import fill_moments
from spectral_search.tasks.spectra.shards.loaded_spectra import Spectra
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter
from spectral_search.tasks.spectra.signal.components import Components
from spectral_search.tasks.spectra.signal.noise_covariance import share_covariance
from spectral_search.tasks.spectra.signal.subspace import find_directions, whitened
from spectral_search.tasks.spectra.simulator.simulate import BLOCK_ROWS, Simulator, simulate
from spectral_search.tasks.spectra.training.dataset import Dataset, Frozen, as_blocks, freeze, labelled
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing

SEED = 42
_CACHE_VERSION = 1
"""Raised with every change of the simulator that changes spectra."""


def cache_folder() -> Path:
    """Where the data sets of benchmarks are kept between runs."""
    return home.cache_folder() / "bench"


def simulated_root(train: int, val: int, pixels: int, progress: Callable[[int, int], None]) -> Path:
    """A data root in the cache folder, float32, without a test set; simulated on first use."""
    folder = cache_folder() / f"simulated-v{_CACHE_VERSION}-{train}-{val}-{pixels}"
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


def repeated_shard(path: Path, spectra: int, pixels: int, dtype: str, *, with_mask: bool = False) -> Path:
    """A shard in chunks of 64 spectra that repeats one simulated block; its mask, if it has one, marks nothing."""
    simulator = Simulator(pixels=pixels, seed=SEED)
    block = simulator.block("train", 0, noisy=False)
    labels = pd.DataFrame(block.labels).iloc[np.arange(spectra) % BLOCK_ROWS].reset_index(drop=True)
    wave_angstrom_L = simulator.wave_angstrom_L
    with ShardWriter(
        path, spectra=spectra, pixels=pixels, wave_angstrom_L=wave_angstrom_L, with_mask=with_mask, dtype=dtype
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


def repeated_components(train: int, val: int, pixels: int, components: int) -> Dataset:
    """What a fit on the signal gets, made of one simulated block; val has a single noise draw."""
    block = Simulator(pixels=pixels, seed=SEED).block("train", 0, noisy=False)
    flux_BL, error_BL = block.flux_BL.astype(np.float32), np.nan_to_num(block.error_BL).astype(np.float32)
    spectra = Spectra(flux_BL, error_BL, None, pd.DataFrame(block.labels))
    prep = fit_preprocessing(as_blocks(spectra), spectra.labels["log_g"].to_numpy(), pixels)
    held = labelled(spectra, prep)
    subspace = find_directions(whitened(held.flux_NL, prep.centre_L, prep.inverse_noise_L), SEED).take(components)
    prep = replace(prep, directions_LK=np.ascontiguousarray(subspace.directions_LK), strength_K=subspace.strength_K)
    mean_BL, variance_BL = np.empty_like(held.flux_NL), np.empty_like(held.flux_NL)
    centre_L, inverse_L = (np.ascontiguousarray(v, np.float32) for v in (prep.centre_L, prep.inverse_noise_L))
    fill_moments(held.flux_NL, held.error_NL, centre_L, inverse_L, 1.0, mean_BL, variance_BL)
    shared = share_covariance(variance_BL, prep.directions_LK)
    mean_BK, mix_BR = mean_BL @ prep.directions_LK, shared.mix(variance_BL @ shared.weights_LR)
    rows_N, val_N = (np.arange(count) % BLOCK_ROWS for count in (train, val))
    known = Components(
        mean_BK[rows_N], mix_BR[rows_N], shared.factors_RKK, held.log_g_N[rows_N], held.bin_N[rows_N], shared.error
    )
    # Speed does not depend on whether there is noise in val.
    nothing_NL = np.empty((val, 0), np.float32)
    frozen = Frozen(mean_BK[None, val_N], nothing_NL, held.log_g_N[val_N], held.bin_N[val_N], in_components=True)
    return Dataset(None, frozen, prep, 1.0, known)
