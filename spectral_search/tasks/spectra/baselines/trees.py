"""LightGBM on raw noisy flux, stopped early on val.

It wants the flux as it is: standardised, it fell from R2 0.553 to 0.197 on real spectra. The training set is given to
LightGBM block by block and kept as one byte a value (4 GB for a million spectra of 4096 pixels); float32 spectra are in
memory one block at a time. The noise of a spectrum is drawn once, by its own counter, however the blocks are cut.
Shape suffixes: N spectra, B spectra of a block, L pixels, D draws.
"""

from typing import Any

import lightgbm
import numpy as np

from spectral_search.spec.seeds import lightgbm_seed
from spectral_search.tasks.spectra.baselines.on_signal import SignalProblem
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem
from spectral_search.tasks.spectra.shards.blocks import RowRange, read_block
from spectral_search.tasks.spectra.training.dataset import Labelled

ROUNDS = 4000
_PATIENCE = 50
PARAMETERS: dict[str, Any] = {
    "objective": "regression",
    "metric": "l2",
    "learning_rate": 0.1,
    "num_leaves": 31,
    "feature_fraction": 0.05,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "max_bin": 63,
    # Borders of bins come from so many spectra, of which LightGBM holds three float64 copies: 0.5 GB at 4096 pixels.
    "bin_construct_sample_cnt": 5_000,
    "deterministic": True,
    # LightGBM would else time both ways and take the faster, and last digits would change from run to run.
    "force_col_wise": True,
    "verbose": -1,
}


_COMPONENTS_A_TREE = 0.5
"""Part of the components that a tree may split on: they are few, and each says something of its own."""


def fit_predict(problem: Problem) -> Outcome:
    """Boosted trees, as many as are best on val."""
    parameters = {**PARAMETERS, "seed": lightgbm_seed(problem.seed), "num_threads": problem.threads}
    parameters["min_data_in_leaf"] = max(1, min(40, len(problem.train) // 20))
    if isinstance(problem, SignalProblem):
        parameters["feature_fraction"] = _COMPONENTS_A_TREE
        train = _component_set(problem, parameters)
    else:
        train = _training_set(problem, parameters)
    draws, pixels = len(problem.val.noisy_DNL), problem.val.noisy_DNL.shape[2]
    val = lightgbm.Dataset(
        problem.val.noisy_DNL.reshape(-1, pixels), np.tile(problem.val.log_g_N, draws), reference=train
    )
    tell = problem.told("lightgbm: trees at most")

    def progress(state: Any) -> None:
        tell(state.iteration + 1, ROUNDS)

    stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
    booster = lightgbm.train(parameters, train, ROUNDS, valid_sets=[val], callbacks=[progress, stop])
    tell(ROUNDS, ROUNDS)
    trees = booster.best_iteration or booster.current_iteration()
    parts = [
        np.stack([np.asarray(booster.predict(noisy_NL, num_iteration=trees)) for noisy_NL in frozen.noisy_DNL])
        for frozen in problem.evaluation()
    ]
    warnings = (
        (f"LightGBM was still improving after {ROUNDS:,} trees: its number is a little low.",)
        if booster.current_iteration() >= ROUNDS and trees > ROUNDS - _PATIENCE
        else ()
    )
    return Outcome(np.concatenate(parts, axis=1), facts={"trees": trees}, warnings=warnings)


def _training_set(problem: Problem, parameters: dict[str, Any]) -> lightgbm.Dataset:
    """The training spectra with their noise, binned as they are read; the float32 values are not kept."""
    blocks = _NoisyBlocks(problem)
    sequences: list[lightgbm.Sequence] = [_NoisyRange(blocks, row_range) for row_range in blocks.ranges]
    dataset = lightgbm.Dataset(sequences, problem.train.log_g_N, params=parameters, free_raw_data=True)
    return dataset.construct()


def _component_set(problem: SignalProblem, parameters: dict[str, Any]) -> lightgbm.Dataset:
    """Training spectra as noisy components, which are small enough to be in memory together."""
    parts, first = [], 0
    for block in problem.train_blocks():
        parts.append(problem.noisy(block, first))
        first += len(block)
    return lightgbm.Dataset(np.concatenate(parts), problem.train.log_g_N, params=parameters).construct()


class _NoisyBlocks:
    """Noisy training spectra range by range; the last one read is kept."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self.ranges = problem.train_ranges
        self._held: tuple[RowRange, Labelled] | None = None
        self._tell = problem.told("lightgbm: training spectra")

    def clean(self, row_range: RowRange) -> Labelled:
        """The range without noise, conditioned."""
        if self._held is None or self._held[0] is not row_range:
            self._held = None  # let go before the next is read
            block = read_block(row_range, condition=self._problem.prep.conditioning)
            train, rows = self._problem.train, block.rows_B
            self._held = row_range, Labelled(block.flux_BL, block.error_BL, train.log_g_N[rows], train.bin_N[rows])
        return self._held[1]

    def noisy(self, row_range: RowRange, rows: slice) -> np.ndarray:
        """Some spectra of a range with their noise, float32 (B, L)."""
        whole = self.clean(row_range)
        part = Labelled(whole.flux_NL[rows], whole.error_NL[rows], whole.log_g_N[rows], whole.bin_N[rows])
        return self._problem.noisy(part, row_range.first + rows.start)

    def tell(self, done: int) -> None:
        """Show how many spectra have been given to LightGBM."""
        self._tell(done, len(self._problem.train))


class _NoisyRange(lightgbm.Sequence):
    """One range, as LightGBM asks for it: single spectra in ascending order to place its bins, then all in batches."""

    def __init__(self, blocks: _NoisyBlocks, row_range: RowRange) -> None:
        self._blocks, self._range = blocks, row_range
        self.batch_size = len(row_range)

    def __len__(self) -> int:
        return len(self._range)

    def __getitem__(self, index: int | slice | list[int]) -> np.ndarray:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            self._blocks.tell(self._range.first + stop)
            return self._blocks.noisy(self._range, slice(start, stop))
        if isinstance(index, list):
            return np.concatenate([self[row][None] for row in index])
        # LightGBM places its bins on float64.
        return self._blocks.noisy(self._range, slice(index, index + 1))[0].astype(np.float64)
