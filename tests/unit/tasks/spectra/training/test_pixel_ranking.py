"""LightGBM's ranking finds the pixels that carry log g, the same ones every time."""

import numpy as np
import pytest
from small_dataset import make_spectra

from spectral_search.tasks.spectra.training import pixel_ranking as ranking
from spectral_search.tasks.spectra.training.dataset import Labelled, as_blocks, labelled
from spectral_search.tasks.spectra.training.pixel_ranking import rank_pixels
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing


def train_set() -> Labelled:
    spectra = make_spectra(600, 1, nan_edges=True)
    prep = fit_preprocessing(as_blocks(spectra), spectra.labels["log_g"].to_numpy(), spectra.pixels)
    return labelled(spectra, prep)


def test_the_line_comes_first_and_masked_pixels_last() -> None:
    train = train_set()
    rank_L = rank_pixels(train, 0.5, seed=1, threads=1)
    assert sorted(rank_L) == list(range(train.flux_NL.shape[1]))
    centre = int(0.4 * train.flux_NL.shape[1])
    assert abs(int(rank_L[0]) - centre) <= 2
    assert {0, train.flux_NL.shape[1] - 1} <= set(rank_L[-4:].tolist())


def test_the_ranking_is_reproducible_and_leaves_the_spectra_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "RANKING_SPECTRA", 300)
    train = train_set()
    before_NL = train.flux_NL.copy()
    first_L = rank_pixels(train, 1.0, seed=1, threads=1)
    np.testing.assert_array_equal(rank_pixels(train, 1.0, seed=1, threads=2), first_L)
    assert not np.array_equal(rank_pixels(train, 1.0, seed=2, threads=1), first_L)
    np.testing.assert_array_equal(train.flux_NL, before_NL)
