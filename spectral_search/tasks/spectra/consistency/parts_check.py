"""Whether the parts of a data root belong together, from a few spectra of every shard, before anything starts."""

from dataclasses import dataclass

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.consistency.parts_consistency import find_mismatches
from spectral_search.tasks.spectra.section import DataSpec
from spectral_search.tasks.spectra.shards.data_root import DataRoot

_REMEDY = "Mend the data, or go on all the same with --set data.allow_mismatch=true, which the leaderboard will say."


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
        RequestError: They cannot be one data set and the spec does not say to go on, or a shard cannot be read.
    """
    found = find_mismatches(root, data.noise_level)
    if found.refused and not data.allow_mismatch:
        raise RequestError(*(f"{text} {_REMEDY}" for text in found.refused))
    return Parts(tuple(found.refused), tuple(found.odd))
