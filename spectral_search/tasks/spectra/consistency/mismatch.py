"""What is said of parts of a data root that do not go together.

Parts are held together by what a factor or a mistake cannot hide. Levels are compared as medians over the sampled
spectra, and their ranges tell two things apart: a unit, which moves a whole part away, and a choice of stars or of
exposures, which moves it within reach of the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

_NAMED = 3


@dataclass
class Mismatches:
    """Sentences without a remedy.

    Attributes:
        refused: What cannot be one data set.
        odd: What is odd but possible.
    """

    refused: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def extend(self, other: "Mismatches") -> None:
        """Takes up what another look found."""
        self.refused += other.refused
        self.odd += other.odd


def listed(names: Iterable[str]) -> str:
    """Names of shards, no more than a few."""
    known = list(dict.fromkeys(names))
    rest = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return ", ".join(known[:_NAMED]) + rest
