"""Proposals that learn from partial curves: near points that led at a rung, far from those that did not.

Trials are ordered by the last rung they reached and by their best value up to it; the best tenth are the leaders. Each
searched key has two densities, of the leaders and of the others, as sums of kernels on the scale of its domain; of some
random candidates the one with the largest ratio of the two over all keys is proposed (Bergstra et al. 2011, of which
Optuna's TPE is one reading). It needs no value of a whole curve, so that it learns from the first rung on, and no unit:
only the order counts. Candidates are few, so that it goes on exploring. On recorded tasks it comes twice as soon to the
best as random proposals do (docs/benchmarks.md). Shape suffixes: C candidates, T trials.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectral_search.spec.domain import Domain

CANDIDATES = 100
"""Random points of which one is proposed."""
_LEADERS_PART = 10
"""One in this many trials is a leader, and at least two are."""
_WIDTH = 0.1
"""Standard deviation of a kernel, as a part of its domain."""
_FLOOR = 0.1
"""Added to each density, a kernel's peak being 1: what a key says where nothing has been tried."""


@dataclass(frozen=True)
class Seen:
    """What is known of a trial.

    Attributes:
        params: Its searched values.
        rungs: Rungs that it has reached; -1 when it failed, 0 before the first.
        value: Its best up to the last of them, more being better.
    """

    params: Mapping[str, Any]
    rungs: int
    value: float = -math.inf


def most_promising(domains: Mapping[str, Domain], seen: Sequence[Seen], candidates: Sequence[Mapping[str, Any]]) -> int:
    """The place of the candidate that is most like the leaders and least like the others.

    Args:
        domains: Of every searched key; a candidate may lack keys that do not apply to it.
        seen: The trials so far, in the order of their numbers; at least one.
        candidates: Points to choose from; the first of equals is chosen.
    """
    # The sort is stable: of equals the earlier trial leads, in every process.
    best_first = sorted(seen, key=lambda trial: (-trial.rungs, -trial.value))
    count = max(2, math.ceil(len(seen) / _LEADERS_PART))
    score_C = np.zeros(len(candidates))
    for key, domain in domains.items():
        has_C = [place for place, candidate in enumerate(candidates) if key in candidate]
        values = [candidates[place][key] for place in has_C]
        leading_C, other_C = (
            _density(domain, values, [trial.params[key] for trial in group if key in trial.params])
            for group in (best_first[:count], best_first[count:])
        )
        score_C[has_C] += np.log(leading_C) - np.log(other_C)
    return int(np.argmax(score_C))


def _density(domain: Domain, values: Sequence[Any], tried: Sequence[Any]) -> np.ndarray:
    """Mean of the kernels of what was tried, at each value."""
    if not tried:
        return np.full(len(values), _FLOOR)
    if domain.choices is not None:
        # As text, since true equals 1 in Python and is another choice.
        names = [json.dumps(value) for value in tried]
        return np.array([names.count(json.dumps(value)) / len(names) for value in values]) + _FLOOR
    at_C, tried_T = _scaled(domain, values), _scaled(domain, tried)
    kernels_CT = np.exp(-0.5 * np.square((at_C[:, None] - tried_T) / _WIDTH))
    return kernels_CT.mean(axis=1) + _FLOOR


def _scaled(domain: Domain, values: Sequence[Any]) -> np.ndarray:
    """Values as parts of their domain, from 0 to 1."""
    ends = np.array([domain.low, domain.high], float)
    array = np.array(values, float)
    if domain.is_log:
        ends, array = np.log(ends), np.log(array)
    # A domain of one value has no extent to divide by.
    return (array - ends[0]) / max(ends[1] - ends[0], np.finfo(float).tiny)
