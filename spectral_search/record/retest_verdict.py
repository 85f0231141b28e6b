"""What the re-test says of the finalists: how good on fresh noise, how much the seed matters, and which of them tie.

Shape suffixes: D noise draws, N spectra, R bootstrap samples, K re-tests, S seeds.
"""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spectral_search.record.kept_predictions import Retest
from spectral_search.record.scores import RESAMPLES, Estimate, estimates, r2_samples, squared_error
from spectral_search.spec.seeds import numpy_seed


def judge(retests: Sequence[Retest], log_g_N: np.ndarray, trials: Sequence[int], *, seed: int) -> list[dict[str, Any]]:
    """What the manifest keeps of the finalists' re-test.

    Args:
        retests: Of all finalists; each has one with its own weights, and perhaps some with other seeds.
        log_g_N: Labels of the val spectra, dex.
        trials: The finalists, the winner first.
        seed: Of the bootstrap.

    Returns:
        For each finalist: trial, val_r2 and, of the weights that the search trained, r2 with its 95% interval (low,
        high) over spectra and r2_by_draw; seeds, one entry for each training of it; and, but for the winner, behind:
        how much lower its R2 is, as the mean over seeds, with an interval over spectra and seeds that is paired, and
        tied: whether that interval holds 0.
    """
    # Retrained copies that failed have no say here, but are told of; those that were stopped early only show how much
    # the seed matters.
    usable = [retest for retest in retests if retest.failure is None and not retest.stopped_early]
    error2_NK = np.column_stack([squared_error(retest.predicted_DN, log_g_N) for retest in usable])
    value_K, sample_RK = r2_samples(error2_NK, log_g_N, seed=seed)
    estimate_of = dict(zip(map(id, usable), estimates(value_K, sample_RK), strict=True))
    column_of = {id(retest): column for column, retest in enumerate(usable)}
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
            "r2": estimate_of[id(own)].value,
            "low": estimate_of[id(own)].low,
            "high": estimate_of[id(own)].high,
            "r2_by_draw": _by_draw(own.predicted_DN, log_g_N),
            "spectra": len(log_g_N),
            "val_r2": own.val_r2,
            "seeds": [_seed_entry(retest, estimate_of.get(id(retest))) for retest in mine],
        }
        if trial != trials[0]:
            behind = estimates(np.array([winner[0] - mean[0]]), (winner[1] - mean[1])[:, None])[0]
            entry |= {"behind": behind.to_dict(), "tied": behind.low <= 0.0 <= behind.high}
        found.append(entry)
    return found


def _deviations(value_K: np.ndarray, whole: Sequence[Retest], early: Sequence[Retest]) -> np.ndarray:
    """How far seeds lie from the mean of their finalist, of all finalists with several; without the bias of few.

    Copies that were stopped early are compared by val R2, each with its original after as many epochs.
    """
    groups = [
        value_K[[retest.trial == trial for retest in whole]]
        for trial in dict.fromkeys(retest.trial for retest in whole)
    ]
    for trial in dict.fromkeys(retest.trial for retest in early):
        mine = [retest for retest in early if retest.trial == trial and retest.val_r2 is not None]
        groups.append(np.array([*{retest.original_val_r2 for retest in mine}, *[retest.val_r2 for retest in mine]]))
    found = [
        (value_S - value_S.mean()) * np.sqrt(len(value_S) / (len(value_S) - 1))
        for value_S in groups
        if len(value_S) > 1
    ]
    return np.concatenate(found) if found else np.zeros(1)


def _over_seeds(sample_RS: np.ndarray, deviations: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The mean over seeds in each bootstrap sample of the spectra, with what other seeds would have changed.

    Two or three seeds tell little of their own spread, so all finalists share what was seen of it, those with a single
    seed included.
    """
    resamples, seeds = sample_RS.shape
    return sample_RS.mean(axis=1) + rng.choice(deviations, (resamples, seeds)).mean(axis=1)


def _by_draw(predicted_DN: np.ndarray, log_g_N: np.ndarray) -> list[float]:
    error2_ND = (np.asarray(predicted_DN, np.float64) - log_g_N).T ** 2
    return [float(value) for value in 1.0 - error2_ND.mean(axis=0) / np.var(log_g_N)]


def _seed_entry(retest: Retest, estimate: Estimate | None) -> dict[str, Any]:
    return {
        "seed": retest.seed,
        "own": retest.own,
        "epoch": retest.epoch,
        "val_r2": retest.val_r2,
        **({"epochs": retest.epochs, "original_val_r2": retest.original_val_r2} if retest.stopped_early else {}),
        "r2": None if estimate is None else estimate.value,
        "failure": retest.failure,
    }


def seed_values(finalist: Mapping[str, Any]) -> list[float]:
    """R2 on fresh noise of each training of a finalist, its own first; of runs without seeds that of its own alone."""
    seeds = finalist.get("seeds") or [{"own": True, "r2": finalist.get("r2")}]
    ordered = sorted(seeds, key=lambda seed: not seed["own"])
    return [float(seed["r2"]) for seed in ordered if seed["r2"] is not None]


@dataclass(frozen=True)
class EarlyValues:
    """Best val R2 after so many epochs: of the finalist itself and of its copies with other seeds."""

    epochs: int
    own: float
    others: list[float]

    @property
    def text(self) -> str:
        """For a sentence that begins with what these are."""
        told = " ".join(f"{value:.4f}" for value in (self.own, *self.others))
        spread = statistics.stdev((self.own, *self.others))
        return f"after {self.epochs} epochs, val R2 {told}, standard deviation {spread:.4f}"


def early_values(finalist: Mapping[str, Any]) -> EarlyValues | None:
    """What copies that were stopped early show; None where there are none."""
    early = [seed for seed in finalist.get("seeds", []) if seed.get("original_val_r2") is not None]
    others = [float(seed["val_r2"]) for seed in early if seed["val_r2"] is not None]
    if not others:
        return None
    return EarlyValues(int(early[0]["epochs"]), float(early[0]["original_val_r2"]), others)


def tied(retest: Mapping[str, Any]) -> list[int]:
    """Finalists that cannot be told from the winner."""
    return [int(entry["trial"]) for entry in retest.get("finalists", []) if entry.get("tied")]


def chosen_by_draw(retest: Mapping[str, Any]) -> dict[int, int]:
    """Finalist -> of how many fresh noise draws it would have been the choice, most often chosen first."""
    finalists = [entry for entry in retest.get("finalists", []) if entry.get("r2_by_draw")]
    draws = min((len(entry["r2_by_draw"]) for entry in finalists), default=0)
    best = [max(finalists, key=lambda entry: entry["r2_by_draw"][draw])["trial"] for draw in range(draws)]
    return dict(Counter(best).most_common())
