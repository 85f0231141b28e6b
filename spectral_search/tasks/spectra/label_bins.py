"""The bins of labels: what splits are stratified by, and what reports judge and experts of a mixture are told.

Reports and experts share one set of edges, the published one, so that a report's worst bin is an expert's as well. On
labels that begin at [M/H] -1, as simulated ones do, its lowest bin is empty: what is left, 24 bins, holds 36 or more of
each 1,000 evenly spread spectra, where an edge at -0.5 instead would leave 24, which often is too few to judge. Strata
ask for more: they must be fine for parts of a split to be alike, and each lies in one bin.
All are inner edges; the outer bins are open, so that a label beyond the grid still has a bin.
"""

STRATA_EDGES: dict[str, tuple[float, ...]] = {
    "T_eff": (4125.0, 4500.0, 4875.0, 5250.0, 5625.0),
    "log_g": (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5),
    "M_H": (-1.0, -0.5, 0.0, 0.5),
}
"""By label, in kelvin or dex: a split has the same part of each bin."""
BIN_EDGES: dict[str, tuple[float, ...]] = {
    "T_eff": (4500.0, 5250.0),
    "log_g": (2.0, 3.0, 4.0),
    "M_H": (-1.0, 0.0),
}
"""By label: experts have 3 x 3 bins of T_eff and [M/H]. Changing those changes every network that is told its bin."""
SNR_EDGES = (4.0, 6.0, 8.5, 12.5, 18.0)
"""Of S/N, around the values at which published results are quoted: 3, 5, 7, 10, 15, 21."""
