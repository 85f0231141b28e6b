"""How the study holds the choices of a key: as people read them in Optuna's viewers, and each apart from the others.

Text, numbers, booleans and null stay what they are; a list is held as its text, since Optuna's choices hold none.
Where two would then look or compare alike, as 64 and "64" or true and 1 do, all of that key are held as JSON text.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalChoiceType, CategoricalDistribution
from optuna.trial import FrozenTrial

from spectral_search.spec.domain import Domain, same_key


@dataclass(frozen=True)
class Choices:
    """The choices of one key.

    Attributes:
        values: As the spec gives them.
        held: As the study holds them, in the same order.
    """

    values: tuple[Any, ...]
    held: tuple[CategoricalChoiceType, ...]

    @property
    def distribution(self) -> CategoricalDistribution:
        """All of them, in Optuna's terms."""
        return CategoricalDistribution(self.held)

    def hold(self, value: Any) -> CategoricalChoiceType:
        """A value as the study holds it."""
        return self.held[[same_key(known) for known in self.values].index(same_key(value))]

    def value(self, held: CategoricalChoiceType) -> Any:
        """The value that the study holds so."""
        return self.values[self.held.index(held)]


def choices_of(key: str, domain: Domain, trials: Iterable[FrozenTrial] = ()) -> Choices:
    """The choices of a key, held as the trials that a study has already hold them.

    Args:
        key: The dotted path.
        domain: A domain with choices.
        trials: What the study has; those of earlier versions hold all choices as JSON text, and go on so, since Optuna
            takes no other choices for a key that it knows.
    """
    values = tuple(domain.choices or ())
    as_json = tuple(json.dumps(value) for value in values)
    known = next((trial.distributions[key] for trial in trials if key in trial.distributions), None)
    if isinstance(known, CategoricalDistribution) and known.choices == as_json:
        return Choices(values, as_json)
    readable = tuple(_readable(value) for value in values)
    return Choices(values, readable if _are_apart(readable) else as_json)


def _readable(value: Any) -> CategoricalChoiceType:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def _are_apart(held: tuple[CategoricalChoiceType, ...]) -> bool:
    """Whether no two are equal, in Python as in print, and each equals itself."""
    finite = all(math.isfinite(value) for value in held if isinstance(value, float))
    return finite and len({str(value) for value in held}) == len(set(held)) == len(held)
