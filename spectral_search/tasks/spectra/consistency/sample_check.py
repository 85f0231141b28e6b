"""A look at a few spectra before anything starts, for faults that headers do not show."""

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.split import Selection, Splits

_SAMPLED_SPECTRA = 6
"""Spectra read of each set. A pixel that is invalid in all of them is far from valid in 99%, as it must be."""


def check_sample(splits: Splits) -> None:
    """Refuse data on which nothing can be learned.

    Raises:
        RequestError: No pixel is valid in the sampled spectra of all sets, or the labels do not vary.
    """
    parts = {"train": splits.train, "val": splits.val, "test": splits.test}
    sets = {name: selection for name, selection in parts.items() if selection is not None}
    faults: list[str] = []
    flat = [name for name, selection in sets.items() if not np.ptp(selection.labels()["log_g"].to_numpy()) > 0]
    if {"train", "val"} & set(flat):
        faults.append(
            f"log_g is the same for all {' and '.join(flat)} spectra, so R2 has no meaning: check the labels."
        )
    valid = {name: _valid_somewhere(selection) for name, selection in sets.items()}
    blind = [name for name, valid_L in valid.items() if not valid_L.any()]
    if blind:
        faults.append(f"No pixel of the {' and '.join(blind)} spectra has a valid flux and error: {_REMEDY}")
    elif not np.logical_and.reduce(list(valid.values())).any():
        faults.append(f"No pixel has a valid flux and error in {' and '.join(valid)} alike: {_REMEDY}")
    if faults:
        raise RequestError(*faults)


_REMEDY = (
    "check the mask (whole numbers mark good pixels with 0, booleans mark bad pixels with True) and that error is "
    "above 0."
)


def _valid_somewhere(selection: Selection) -> np.ndarray:
    """Pixels (bool, of shape (L,)) that are valid in at least one of a few spectra spread over a selection."""
    positions = np.unique(np.linspace(0, len(selection) - 1, _SAMPLED_SPECTRA).astype(np.int64))
    valid_L = np.zeros(selection.pixels, bool)
    for block in iter_blocks(selection.take(positions)):
        valid_L |= ~block.invalid_BL.all(0)
    return valid_L
