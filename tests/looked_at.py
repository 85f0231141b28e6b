"""Spectra that a plan has looked at, to see whether they are sound and fit together, are the same to the next."""

from pathlib import Path

import pytest

from spectral_search.tasks.spectra import spectra_plan
from spectral_search.tasks.spectra.consistency import parts_check
from spectral_search.tasks.spectra.consistency.mismatch import Mismatches
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.split import Splits


def look_once(patch: pytest.MonkeyPatch) -> None:
    """Let plans look at spectra that do not change while this holds once, and at each other sample of them."""
    find, sound = parts_check.find_mismatches, spectra_plan.check_sample
    found: dict[tuple[tuple[Path, ...], float], Mismatches] = {}
    seen: set[str] = set()

    def find_mismatches(root: DataRoot, noise_level: float) -> Mismatches:
        key = (tuple(shard.path for shard in (*root.train, *root.val, *root.test)), noise_level)
        if key not in found:
            found[key] = find(root, noise_level)
        return found[key]

    def check_sample(splits: Splits) -> None:
        if (digest := splits.digest()) not in seen:
            sound(splits)
            seen.add(digest)

    patch.setattr(parts_check, "find_mismatches", find_mismatches)
    patch.setattr(spectra_plan, "check_sample", check_sample)
