"""The bins of labels: of what splits are stratified by, of what the oracle mixture knows, of what reports judge.

They are different questions, so their edges differ: strata must be fine for parts of a split to be alike, experts of a
mixture need many spectra each, and a report's bins must hold enough of a test set and part the stars that differ.
All are inner edges; the outer bins are open, so that a label beyond the grid still has a bin.
"""

STRATA_EDGES: dict[str, tuple[float, ...]] = {
    "T_eff": (4125.0, 4500.0, 4875.0, 5250.0, 5625.0),
    "log_g": (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5),
    "M_H": (-1.0, -0.5, 0.0, 0.5),
}
"""By label, in kelvin or dex: a split has the same part of each bin."""
EXPERT_EDGES: dict[str, tuple[float, float]] = {"T_eff": (4500.0, 5250.0), "M_H": (-1.0, 0.0)}
"""Of the 3 x 3 bins that have an expert each: changing them changes every network that is told its bin."""
REPORT_EDGES: dict[str, tuple[float, ...]] = {
    "T_eff": (4500.0, 5250.0),
    "log_g": (2.0, 3.0, 4.0),
    "M_H": (-0.5, 0.0),
}
"""Of the bins within which reports say how good predictions are."""
SNR_EDGES = (4.0, 6.0, 8.5, 12.5, 18.0)
"""Of S/N, around the values at which published results are quoted: 3, 5, 7, 10, 15, 21."""
