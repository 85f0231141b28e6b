"""Pauses: which parts of the space get no more trials, since those that were there failed.

A pause is an object of a module `NAME_pause.py` (see `spec.name_registry`). It decides by the history alone.
What it pauses stays so for the rest of the search, whatever comes after it: the study writes it down.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

from spectral_search.spec.name_registry import PAUSES
from spectral_search.spec.search import SearchSpec
from spectral_search.spec.space_part import PausedPart
from spectral_search.strategy.history import History


class Pause(ABC):
    """Looks at failures.

    Args:
        search: How many failures it takes: `search.pause_after`.
        fixed: Keys that have one value in all of the space: a part that they bound would be the whole of it.
    """

    def __init__(self, search: SearchSpec, fixed: Collection[str] = ()) -> None:
        self.search, self.fixed = search, fixed

    @abstractmethod
    def parts(self, history: History) -> Sequence[PausedPart]:
        """What is to be paused by now; the whole space only as long as nothing has trained."""


def pause_of(search: SearchSpec, fixed: Collection[str] = ()) -> Pause:
    """The pause of a search, in whose space some keys are fixed.

    Raises:
        RequestError: Nothing has the name that it gives.
    """
    made: Pause = PAUSES.find(search.pause)(search, fixed)
    return made
