"""LightGBM fed block by block is LightGBM on the whole array."""

from pathlib import Path

import lightgbm
import numpy as np
import pytest
from baseline_roots import make_problem
from small_dataset import make_spectra

from spectral_search.tasks.spectra.baselines import trees


def test_streamed_spectra_train_the_same_trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ROUNDS", 25)
    monkeypatch.setitem(trees.PARAMETERS, "feature_fraction", 1.0)
    problem = make_problem(tmp_path, make_spectra(500, 1), make_spectra(100, 2), make_spectra(100, 3))
    monkeypatch.setattr("spectral_search.tasks.spectra.baselines.problem.BLOCK_BYTES", 64 * 8 * 32)
    assert len(problem.train_ranges) > 5
    outcome = trees.fit_predict(problem)
    blocks, noisy, first = list(problem.train_blocks()), [], 0
    for block in blocks:
        noisy.append(problem.noisy(block, first))
        first += len(block)
    parameters = {**trees.PARAMETERS, "seed": 42, "num_threads": 1, "min_data_in_leaf": 25}
    log_g_N = np.concatenate([block.log_g_N for block in blocks])
    whole = lightgbm.train(
        parameters, lightgbm.Dataset(np.concatenate(noisy), log_g_N), num_boost_round=outcome.facts["trees"]
    )
    test = next(problem.evaluation())
    np.testing.assert_allclose(outcome.predicted_DN[0], whole.predict(test.noisy_DNL[0]), rtol=1e-5)
    assert "still improving" in outcome.warnings[0]


def test_the_noise_of_a_spectrum_does_not_depend_on_the_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(tmp_path, make_spectra(100, 1), make_spectra(50, 2), make_spectra(50, 3))
    whole_NL = problem.noisy(next(problem.train_blocks()), 0)
    monkeypatch.setattr("spectral_search.tasks.spectra.baselines.problem.BLOCK_BYTES", 16 * 8 * 32)
    blocks = trees._NoisyBlocks(problem)
    row_range = blocks.ranges[2]
    np.testing.assert_array_equal(
        blocks.noisy(row_range, slice(3, 7)), whole_NL[row_range.first + 3 : row_range.first + 7]
    )
