"""Simulated spectra with their subspace, for tests of components: low S/N, sky lines and dead pixels included."""

from dataclasses import replace
from functools import cache

import numpy as np

from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.signal.subspace import find_directions, whitened
from spectral_search.tasks.spectra.simulator.simulate import BLOCK_ROWS, Simulator
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing, fit_preprocessing

PIXELS, SPECTRA, COMPONENTS = 256, 512, 12


@cache
def simulated() -> tuple[np.ndarray, np.ndarray, Preprocessing]:
    """Conditioned flux and error, float32 of shape (N, L), and preprocessing with directions of the signal."""
    simulator = Simulator(pixels=PIXELS, seed=7)
    blocks = [simulator.block("train", start, noisy=False) for start in range(0, SPECTRA, BLOCK_ROWS)]
    flux_NL = np.concatenate([block.flux_BL for block in blocks]).astype(np.float32)
    error_NL = np.nan_to_num(np.concatenate([block.error_BL for block in blocks])).astype(np.float32)
    error_NL *= 4.0  # so wide pixels would be too bright
    error_NL[:, 60:64] *= 30.0  # a sky line that drowns all spectra
    error_NL[5, 100] = flux_NL[5, 100] = 0.0  # one invalid value
    log_g_N = np.concatenate([block.labels["log_g"] for block in blocks])
    prep = fit_preprocessing([Block(np.arange(len(flux_NL)), flux_NL, error_NL)], log_g_N, PIXELS)
    prep.conditioning(flux_NL, error_NL)
    subspace = find_directions(whitened(flux_NL, prep.centre_L, prep.inverse_noise_L), seed=1).take(COMPONENTS)
    prep = replace(prep, directions_LK=np.ascontiguousarray(subspace.directions_LK), strength_K=subspace.strength_K)
    return flux_NL, error_NL, prep
