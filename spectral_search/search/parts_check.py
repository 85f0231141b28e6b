"""Whether the parts of a data root belong together, from a few spectra of every shard, before anything starts."""

from dataclasses import dataclass

from spectral_search.data.mismatch import Mismatches
from spectral_search.data.part_labels import label_mismatches
from spectral_search.data.part_levels import level_mismatches
from spectral_search.data.part_noise import noise_mismatches
from spectral_search.data.root import DataRoot
from spectral_search.data.row_order import order_suspicions
from spectral_search.data.sampled import sample_shards
from spectral_search.errors import RequestError
from spectral_search.spec.data import DataSpec

REMEDY = "Mend the data, or go on all the same with --set data.allow_mismatch=true, which the leaderboard will say."


@dataclass(frozen=True)
class Parts:
    """What a look at all shards of a data root has found.

    Attributes:
        mismatches: Why they cannot be one data set; goes with the results.
        notes: What is odd but possible, a sentence each.
    """

    mismatches: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def told(self) -> list[str]:
        """All of it, for the plan."""
        return [*(f"Parts that do not match, as allowed: {text}" for text in self.mismatches), *self.notes]


def check_parts(root: DataRoot, data: DataSpec) -> Parts:
    """Hold the shards of a data root against each other and against the spec.

    Raises:
        RequestError: They cannot be one data set, and `allow_mismatch` does not say to go on; or a shard cannot be read.
    """
    found = find_mismatches(root, data)
    if found.refused and not data.allow_mismatch:
        raise RequestError(*(f"{text} {REMEDY}" for text in found.refused))
    return Parts(tuple(found.refused), tuple(found.odd))


def find_mismatches(root: DataRoot, data: DataSpec) -> Mismatches:
    """As `check_parts`, refusing nothing."""
    samples = sample_shards([*root.train, *root.val, *root.test])
    held_out = len(samples) - len(root.test)
    train, val, test = samples[: len(root.train)], samples[len(root.train) : held_out], samples[held_out:]
    parts = [part for part in (val, test) if part]
    found = level_mismatches(train, parts)
    for part in parts:
        found.extend(noise_mismatches(part, data.noise_level))
    if not val:  # a part of train is held out, and taken with the noise that it holds
        found.extend(noise_mismatches(train, data.noise_level))
    found.extend(label_mismatches(train, parts))
    found.odd += order_suspicions(samples)
    return found
