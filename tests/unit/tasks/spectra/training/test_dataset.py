"""Conditioned spectra, oracle bins and their labels."""

import numpy as np
import pandas as pd
from small_dataset import make_spectra

from spectral_search.tasks.spectra.training.dataset import as_blocks, labelled, oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing


def test_oracle_bins_are_the_published_ones() -> None:
    labels = pd.DataFrame(
        {
            "T_eff": [3750.0, 4499.0, 4500.0, 5250.0, 6000.0, 3750.0, 5000.0, np.nan, 5000.0],
            "M_H": [-2.0, -1.0, -1.1, 0.0, 0.5, 0.75, -0.5, 0.1, np.nan],
        }
    )
    np.testing.assert_array_equal(oracle_bins(labels), [0, 1, 3, 8, 8, 2, 4, -1, -1])


def test_conditioning_scales_in_place_and_fills_with_the_mean() -> None:
    spectra, before = make_spectra(3000, 1, nan_edges=True), make_spectra(3000, 1, nan_edges=True)
    spectra.flux_NL[10, 5] = spectra.error_NL[10, 5] = 0.0
    prep = fit_preprocessing(as_blocks(spectra), spectra.labels["log_g"].to_numpy(), spectra.pixels)
    train = labelled(spectra, prep)
    assert np.shares_memory(train.flux_NL, spectra.flux_NL)
    inner = np.s_[11:, 1:-1]
    np.testing.assert_allclose(train.flux_NL[inner], before.flux_NL[inner] / prep.flux_scale, rtol=1e-6)
    np.testing.assert_allclose(train.error_NL[inner], before.error_NL[inner] / prep.flux_scale, rtol=1e-6)
    assert train.flux_NL[10, 5] == prep.mean_L[5] > 0
    assert train.error_NL[10, 5] == 0
    assert (train.error_NL[:, [0, -1]] == 0).all()
    assert (train.flux_NL[:, [0, -1]] == 0).all()
    np.testing.assert_allclose(train.log_g_N, before.labels["log_g"], rtol=1e-6)
    assert train.nbytes == 2 * 4 * 3000 * spectra.pixels


def test_blocks_of_spectra_in_memory_are_the_spectra() -> None:
    spectra = make_spectra(2500, 1, nan_edges=True)
    blocks = list(as_blocks(spectra))
    np.testing.assert_array_equal(np.concatenate([block.rows_B for block in blocks]), np.arange(2500))
    np.testing.assert_array_equal(np.concatenate([block.flux_BL for block in blocks]), spectra.flux_NL)
    np.testing.assert_array_equal(np.concatenate([block.invalid_BL for block in blocks]), spectra.error_NL == 0)
