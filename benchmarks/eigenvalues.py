"""Draws how the signal of noise-free spectra falls below the noise, direction by direction.

    python -m benchmarks.eigenvalues --data-root ROOT -o docs/figures/eigenvalues.png

writes the figure, and the same as a table (.csv) beside it: the variance along each of 128 directions and what all
directions after it hold together, both in units of the noise of one direction.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from spectral_search.spec.load import load_spec
from spectral_search.strategy.candidate_configs import candidates
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import make_splits
from spectral_search.tasks.spectra.signal.subspace import REMAINDER
from spectral_search.tasks.spectra.signal.subspace_plan import FoundSubspace, find_subspace

_INK, _ACCENT, _MUTED = "#0b4f8a", "#d9822b", "#6b7280"


def _found_subspace(data_root: str) -> FoundSubspace:
    """The directions that a search of the flagship stage finds in these spectra."""
    spec = load_spec("signal_mlp", overrides={"data.root": [data_root], "data.num_train": None})
    return find_subspace(spec, make_splits(DataRoot.find(data_root), spec.data), candidates(spec))


def _draw(found: FoundSubspace, file: Path) -> None:
    """Variances and what lies beyond them, on logarithmic axes, with the noise and the rule for K."""
    variance_Q = found.variance_Q
    beyond_Q = np.append(np.cumsum(variance_Q[::-1])[::-1][1:], np.nan)
    direction_Q = np.arange(1, len(variance_Q) + 1)
    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    panel = figure.subplots()
    panel.loglog(direction_Q, variance_Q, color=_INK, lw=1.8, label="variance along a direction")
    panel.loglog(direction_Q, beyond_Q, color=_ACCENT, lw=1.4, label="of all directions after it together")
    panel.axhline(1.0, color=_MUTED, lw=1.0, ls="--")
    panel.text(1.05, 1.25, "the noise of one direction", color=_MUTED, fontsize=9)
    panel.axhline(REMAINDER, color=_ACCENT, lw=0.8, ls=":")
    panel.text(1.05, REMAINDER * 1.25, f"what K may leave out: {REMAINDER:g}", color=_ACCENT, fontsize=9)
    panel.axvline(found.automatic, color=_INK, lw=0.8, ls=":")
    panel.text(
        found.automatic * 0.95, variance_Q[0], f"K = {found.automatic}", color=_INK, fontsize=9, ha="right", va="top"
    )
    panel.set_xlabel("direction, strongest first")
    panel.set_ylabel("variance of the signal, in units of the noise")
    panel.set_title(f"{found.sampled:,} noise-free spectra of {found.prep.pixels:,} pixels", fontsize=10)
    panel.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0.0, 0.04))
    panel.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    figure.savefig(file, dpi=130)
    with file.with_suffix(".csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["direction", "variance", "beyond"])
        rows.writerows(
            [int(k), f"{v:.6g}", f"{b:.6g}"] for k, v, b in zip(direction_Q, variance_Q, beyond_Q, strict=True)
        )


def main() -> None:
    """Reads the command line and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="noise-free spectra")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the figure, .png")
    arguments = parser.parse_args()
    _draw(_found_subspace(arguments.data_root), arguments.output)


if __name__ == "__main__":
    main()
