"""What the re-test says of the finalists: how good they are, how much the seed matters, and which of them tie.

Shape suffixes: D draws of the input, N examples, R bootstrap samples, K re-tests, S seeds.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectral_search.record.kept_predictions import Retest, original_name
from spectral_search.record.resampling import RESAMPLES, Estimate, estimates, sampled_values
from spectral_search.spec.seeds import numpy_seed
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task


def judge(
    retests: Sequence[Retest], task: Task, target_N: np.ndarray, trials: Sequence[int], *, seed: int
) -> list[dict[str, Any]]:
    """What the manifest keeps of the finalists' re-test.

    Args:
        retests: Of all finalists; each has one with its own weights, and perhaps some with other seeds.
        task: What was searched on; its objective judges.
        target_N: What was to be predicted of the val set.
        trials: The finalists, the winner first.
        seed: Of the bootstrap.

    Returns:
        For each finalist, under the names of the objective: trial, the value on val and, of the weights that the search
        trained, the value with its 95% interval (low, high) over examples and by draw; seeds, one entry for each
        training of it; and, but for the winner, behind: how much worse it is, as the mean over seeds, with an interval
        over examples and seeds that is paired, and tied: whether that interval holds 0.
    """
    # Retrained copies that failed have no say here, but are told of; those that were stopped early only show how much
    # the seed matters.
    usable = [retest for retest in retests if retest.failure is None and not retest.stopped_early]
    objective, measure = task.objective, task.objective.measure
    error_NK = np.column_stack([measure.errors(retest.predicted_DN, target_N) for retest in usable])
    value_K, sample_RK = sampled_values(measure, error_NK, target_N, seed=seed)
    # By identity, since what holds an array has no hash.
    estimate_of = dict(zip(map(id, usable), estimates(value_K, sample_RK), strict=True))
    column_of = {id(retest): column for column, retest in enumerate(usable)}
    # A stream of its own: the seed alone is that of the resampled examples.
    rng = np.random.default_rng((numpy_seed(seed), RESAMPLES))
    deviations = _deviations(value_K, usable, [retest for retest in retests if retest.stopped_early])
    found, winner = [], None
    for trial in trials:
        mine = [retest for retest in retests if retest.trial == trial]
        own = next(retest for retest in mine if retest.own)
        columns = [column_of[id(retest)] for retest in mine if id(retest) in column_of]
        mean = value_K[columns].mean(), _over_seeds(sample_RK[:, columns], deviations, rng)
        winner = winner or mean
        entry: dict[str, Any] = {
            "trial": trial,
            objective.name: estimate_of[id(own)].value,
            "low": estimate_of[id(own)].low,
            "high": estimate_of[id(own)].high,
            f"{objective.name}_by_draw": measure.by_draw(own.predicted_DN, target_N),
            task.examples: len(target_N),
            objective.val_name: own.value,
            "seeds": [_seed_entry(retest, objective, estimate_of.get(id(retest))) for retest in mine],
        }
        if trial != trials[0]:
            sign = objective.gain(1.0)
            behind = estimates(sign * np.array([winner[0] - mean[0]]), sign * (winner[1] - mean[1])[:, None])[0]
            entry |= {"behind": behind.to_dict(), "tied": behind.low <= 0.0 <= behind.high}
        found.append(entry)
    return found


def _deviations(value_K: np.ndarray, whole: Sequence[Retest], early: Sequence[Retest]) -> np.ndarray:
    """How far seeds lie from the mean of their finalist, of all finalists with several; without the bias of few.

    Copies that were stopped early are compared by their value on val, each with its original after as many epochs.
    """
    groups = [
        value_K[[retest.trial == trial for retest in whole]]
        for trial in dict.fromkeys(retest.trial for retest in whole)
    ]
    for trial in dict.fromkeys(retest.trial for retest in early):
        mine = [retest for retest in early if retest.trial == trial and retest.value is not None]
        # A set, since the value of the original is the same for all its copies and counts once.
        groups.append(np.array([*{retest.original_value for retest in mine}, *[retest.value for retest in mine]]))
    found = [
        (value_S - value_S.mean()) * np.sqrt(len(value_S) / (len(value_S) - 1))
        for value_S in groups
        if len(value_S) > 1
    ]
    return np.concatenate(found) if found else np.zeros(1)


def _over_seeds(sample_RS: np.ndarray, deviations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean over seeds in each bootstrap sample of the examples, with what other seeds would have changed.

    Two or three seeds tell little of their own spread, so all finalists share what was seen of it, those with a single
    seed included.
    """
    resamples, seeds = sample_RS.shape
    return sample_RS.mean(axis=1) + rng.choice(deviations, (resamples, seeds)).mean(axis=1)


def _seed_entry(retest: Retest, objective: Metric, estimate: Estimate | None) -> dict[str, Any]:
    return {
        "seed": retest.seed,
        "own": retest.own,
        "epoch": retest.epoch,
        objective.val_name: retest.value,
        **({"epochs": retest.epochs, original_name(objective): retest.original_value} if retest.stopped_early else {}),
        objective.name: None if estimate is None else estimate.value,
        "failure": retest.failure,
    }


def seed_values(finalist: Mapping[str, Any], objective: Metric) -> list[float]:
    """What each training of a finalist scored, its own first; of runs without seeds that of its own alone."""
    name = objective.name
    seeds = finalist.get("seeds") or [{"own": True, name: finalist.get(name)}]
    ordered = sorted(seeds, key=lambda seed: not seed["own"])
    return [float(seed[name]) for seed in ordered if seed[name] is not None]


@dataclass(frozen=True)
class EarlyValues:
    """Best value on val after so many epochs: of the finalist itself and of its copies with other seeds."""

    epochs: int
    own: float
    others: list[float]
    objective: Metric

    @property
    def text(self) -> str:
        """For a sentence that begins with what these are."""
        told = " ".join(map(self.objective.number, (self.own, *self.others)))
        spread = self.objective.number(statistics.stdev((self.own, *self.others)))
        return f"after {self.epochs} epochs, val {self.objective.label} {told}, standard deviation {spread}"


def early_values(finalist: Mapping[str, Any], objective: Metric) -> EarlyValues | None:
    """What copies that were stopped early show; None where there are none."""
    key, original = objective.val_name, original_name(objective)
    early = [seed for seed in finalist.get("seeds", []) if seed.get(original) is not None]
    others = [float(seed[key]) for seed in early if seed[key] is not None]
    if not others:
        return None
    return EarlyValues(int(early[0]["epochs"]), float(early[0][original]), others, objective)


def tied(retest: Mapping[str, Any]) -> list[int]:
    """Finalists that cannot be told from the winner."""
    return [int(entry["trial"]) for entry in retest.get("finalists", []) if entry.get("tied")]


def chosen_by_draw(retest: Mapping[str, Any], objective: Metric) -> dict[int, int]:
    """Finalist -> of how many draws of the re-test it would have been the choice, most often chosen first."""
    key = f"{objective.name}_by_draw"
    finalists = [entry for entry in retest.get("finalists", []) if entry.get(key)]
    draws = min((len(entry[key]) for entry in finalists), default=0)
    best = [max(finalists, key=lambda entry: objective.gain(entry[key][draw])) for draw in range(draws)]
    return dict(Counter(int(entry["trial"]) for entry in best).most_common())
