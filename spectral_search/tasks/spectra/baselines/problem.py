"""What a baseline gets and gives: the split, the noise and the evaluation spectra of a search.

Shape suffixes: D noise draws, N spectra, B spectra of a block, L pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import torch

from spectral_search.tasks.spectra.shards.blocks import RowRange, read_ranges, row_ranges
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.dataset import Frozen, Labelled, Stream, draw_noise
from spectral_search.tasks.spectra.training.evaluation_spectra import evaluation_noise, frozen_blocks
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

if TYPE_CHECKING:
    from spectral_search.tasks.spectra.baselines.signal_space import Signal

BLOCK_BYTES = 32 << 20
"""Flux and error of the training spectra that are in memory at a time: 1024 spectra of 4096 pixels."""

Told = Callable[[str], Callable[[int, int], None]]
"""Makes a progress callback (done, total), given a title."""


@dataclass(frozen=True)
class Problem:
    """The regression that a search is about.

    Attributes:
        train: Training spectra and their labels; read anew for each pass, block by block.
        val: Val spectra under the frozen noise of the search: what penalties and numbers of trees are chosen on.
        val_labels: Their labels, one row a spectrum.
        test: Test spectra; None where the data root has none.
        test_labels: Their labels.
        prep: Units and valid pixels.
        noise_level: Factor on the error.
        seed: The spec's split seed: names the draws of noise.
        device: Where matrices are multiplied.
        threads: Cores for what does not run on the device.
        told: Shows progress.
    """

    train: Stream
    val: Frozen
    val_labels: pd.DataFrame
    test: Selection | None
    test_labels: pd.DataFrame
    prep: Preprocessing
    noise_level: float
    seed: int
    device: torch.device
    threads: int
    told: Told = lambda title: lambda done, total: None

    @property
    def part(self) -> str:
        """What the numbers are of: test, or val where there is no test set."""
        return "val" if self.test is None else "test"

    @property
    def labels(self) -> pd.DataFrame:
        """Labels of the spectra that the numbers are of."""
        return self.val_labels if self.test is None else self.test_labels

    @property
    def noise(self) -> str:
        """For people: where the noise of the numbers comes from."""
        if self.test is None:
            return f"{len(self.val.noisy_DNL)} frozen draws of noise at level {self.noise_level:g}, as in the search"
        return evaluation_noise(self.test, self.noise_level).told

    def train_blocks(self, title: str | None = None, ranges: Sequence[RowRange] | None = None) -> Iterator[Labelled]:
        """Noise-free training spectra, conditioned, in order, at constant memory.

        Args:
            title: Of the progress that is shown, if any.
            ranges: Some of `train_ranges` only.
        """
        tell, done = self.told(title) if title else None, 0
        ranges = self.train_ranges if ranges is None else ranges
        for block in read_ranges(ranges, condition=self.prep.conditioning):
            rows = block.rows_B
            yield Labelled(block.flux_BL, block.error_BL, self.train.log_g_N[rows], self.train.bin_N[rows])
            done += len(block)
            if tell:
                tell(done, len(self.train))

    @cached_property
    def signal(self) -> "Signal":
        """The training spectra in the subspace of the signal; read when first asked for.

        Raises:
            RequestError: They have no such subspace.
        """
        from spectral_search.tasks.spectra.baselines.signal_space import find_signal  # which is made of problems

        return find_signal(self)

    @property
    def train_ranges(self) -> list[RowRange]:
        """The training spectra as ranges of whole chunks, each a block in memory."""
        return row_ranges(self.train.selection, BLOCK_BYTES)

    def noisy(self, spectra: Labelled, first: int) -> np.ndarray:
        """Training spectra with noise that is drawn once for each, float32 (B, L).

        Args:
            spectra: Consecutive training spectra without noise.
            first: Position of the first of them in the training set.
        """
        return draw_noise(spectra, self.noise_level, (self.seed, "baselines"), first=first)

    def evaluation(self) -> Iterator[Frozen]:
        """The spectra that the numbers are of, in order: blocks of test, or val as a whole."""
        if self.test is None:
            yield self.val
            return
        noise = evaluation_noise(self.test, self.noise_level)
        yield from frozen_blocks(self.test, self.test_labels, self.prep, noise, self.seed)


@dataclass(frozen=True)
class Outcome:
    """What a baseline predicts for the evaluation spectra.

    Attributes:
        predicted_DN: log g in dex, float64; of the first N of them.
        columns: More about each spectrum, each (N,).
        facts: What was chosen and found, as plain values.
        warnings: What the reader must know before trusting the numbers, a sentence each.
    """

    predicted_DN: np.ndarray
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Baseline(Protocol):
    """A baseline: a function that fits on the training spectra, chooses on val and predicts the evaluation spectra."""

    def __call__(self, problem: Problem) -> Outcome: ...
