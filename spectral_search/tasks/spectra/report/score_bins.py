"""Scores within bins of T_eff x log g x [M/H], and of S/N.

In a bin of log g the labels hardly vary, so R2 against their own spread says little. Here the squared error of a bin is
set against the spread of all test labels, 1 - MSE(bin) / Var(all): the mean of these over the spectra is the R2 of the
whole set, so that each bin shows what it adds or costs. Shape suffixes: N spectra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.record.methods import BOOTSTRAP_SEED, Method
from spectral_search.record.resampling import Estimate, estimates, resampled_sums
from spectral_search.tasks.spectra.label_bins import BIN_EDGES, SNR_EDGES

if TYPE_CHECKING:
    import pandas as pd

MIN_SPECTRA = 20
"""Bins with fewer are shown but not named the worst."""


@dataclass(frozen=True)
class BinScore:
    """What a method scores in one bin.

    Attributes:
        t_eff, log_g, m_h: Which bin along each axis, from 0.
        spectra: How many test spectra lie in it.
        r2: Against the spread of all test labels, with its interval.
        rmse_dex: Root mean square error.
        bias_dex: Mean of predicted - true.
    """

    t_eff: int
    log_g: int
    m_h: int
    spectra: int
    r2: Estimate
    rmse_dex: float
    bias_dex: float

    @property
    def name(self) -> str:
        """The bin in words."""
        named = (
            ("T_eff", "T_eff", self.t_eff, " K"),
            ("log g", "log_g", self.log_g, ""),
            ("[M/H]", "M_H", self.m_h, ""),
        )
        return ", ".join(f"{name} {interval_text(BIN_EDGES[label], place, unit)}" for name, label, place, unit in named)


def interval_text(edges: Sequence[float], place: int, unit: str = "") -> str:
    """A bin between edges in words: below 2, 2 to 3, above 3."""
    if place == 0:
        return f"below {edges[0]:g}{unit}"
    if place == len(edges):
        return f"above {edges[-1]:g}{unit}"
    return f"{edges[place - 1]:g} to {edges[place]:g}{unit}"


def bin_scores(method: Method) -> list[BinScore]:
    """The bins that hold any spectra with known labels; none where the run keeps no predictions."""
    if method.labels is None or not method.covered_N.any():
        return []
    labels, usable_N = method.labels, method.covered_N & _known(method.labels)
    place_3N = [np.digitize(labels[name].to_numpy(np.float64), edges) for name, edges in BIN_EDGES.items()]
    sizes = [len(edges) + 1 for edges in BIN_EDGES.values()]
    cells = list(product(*map(range, sizes)))
    member_NK = np.column_stack(
        [usable_N & np.logical_and.reduce([p == q for p, q in zip(place_3N, cell, strict=True)]) for cell in cells]
    )
    error2_N, count_K = np.nan_to_num(method.error_N), member_NK.sum(axis=0)
    residual_N = np.nan_to_num(method.predicted_N - method.target_N)
    spread = float(np.var(method.target_N[method.covered_N]))
    sums_RK = resampled_sums(np.column_stack([member_NK, member_NK * error2_N[:, None]]), seed=BOOTSTRAP_SEED)
    found = []
    for place, cell in enumerate(cells):
        if not count_K[place]:
            continue
        mse = float(error2_N[member_NK[:, place]].mean())
        drawn_R = sums_RK[:, place] > 0
        sample_R = 1.0 - sums_RK[drawn_R, len(cells) + place] / sums_RK[drawn_R, place] / spread
        r2 = estimates(np.array([1.0 - mse / spread]), sample_R[:, None])[0]
        bias = float(residual_N[member_NK[:, place]].mean())
        t_eff, log_g, m_h = cell
        found.append(BinScore(t_eff, log_g, m_h, int(count_K[place]), r2, float(np.sqrt(mse)), bias))
    return found


def _known(labels: "pd.DataFrame") -> np.ndarray:
    return labels[list(BIN_EDGES)].notna().all(axis=1).to_numpy()


def worst_bin(scores: Sequence[BinScore]) -> BinScore | None:
    """The bin that costs R2 most for each of its spectra, among those with enough of them."""
    full = [score for score in scores if score.spectra >= MIN_SPECTRA]
    return min(full, key=lambda score: score.r2.value, default=None)


def best_bin(scores: Sequence[BinScore]) -> BinScore | None:
    """The opposite of `worst_bin`."""
    full = [score for score in scores if score.spectra >= MIN_SPECTRA]
    return max(full, key=lambda score: score.r2.value, default=None)


def snr_parts(labels: "pd.DataFrame") -> list[tuple[float, np.ndarray]]:
    """Median S/N and members of each S/N bin with enough spectra; none where S/N is not known."""
    snr_N = labels["snr"].to_numpy(np.float64)
    place_N = np.where(np.isfinite(snr_N), np.digitize(snr_N, SNR_EDGES), -1)
    parts = [place_N == place for place in range(len(SNR_EDGES) + 1)]
    return [(float(np.median(snr_N[part_N])), part_N) for part_N in parts if part_N.sum() >= MIN_SPECTRA]
