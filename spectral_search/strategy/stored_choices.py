"""How a study holds the values of a trial: as people read them in Optuna's viewers, and each apart from the others.

Text, numbers, booleans and null stay what they are; a list is held as its text, since Optuna's choices hold none.
Where two would then look or compare alike, as 64 and "64" or true and 1 do, all of that key are held as JSON text.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, Trial

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
        # Not by equality, by which true is 1.
        return self.held[[same_key(known) for known in self.values].index(same_key(value))]

    def value(self, held: CategoricalChoiceType) -> Any:
        """The value that the study holds so."""
        return self.values[self.held.index(held)]


class StoredSpace:
    """The searched keys in Optuna's terms.

    Args:
        domains: Of every searched key.
        stored: The trials that a study has already.
    """

    def __init__(self, domains: Mapping[str, Domain], stored: Sequence[FrozenTrial] = ()) -> None:
        self._domains = domains
        self._choices = {key: choices_of(key, domain, stored) for key, domain in domains.items() if domain.choices}

    def frozen(self, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """The values of a trial as the study holds them, with their distributions."""
        choices = self._choices
        held = {key: choices[key].hold(value) if key in choices else value for key, value in params.items()}
        return held, {key: self._distribution(key) for key in params}

    def suggest(self, trial: Trial, key: str) -> Any:
        """The value that a sampler of Optuna has for a key of a trial."""
        domain, choices = self._domains[key], self._choices.get(key)
        if choices is not None:
            return choices.value(trial.suggest_categorical(key, choices.held))
        if domain.is_int:
            return trial.suggest_int(key, int(domain.low or 0), int(domain.high or 0), log=domain.is_log)
        return trial.suggest_float(key, float(domain.low or 0.0), float(domain.high or 0.0), log=domain.is_log)

    def _distribution(self, key: str) -> BaseDistribution:
        domain, choices = self._domains[key], self._choices.get(key)
        if choices is not None:
            return choices.distribution
        if domain.is_int:
            return IntDistribution(int(domain.low or 0), int(domain.high or 0), log=domain.is_log)
        return FloatDistribution(float(domain.low or 0.0), float(domain.high or 0.0), log=domain.is_log)


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
