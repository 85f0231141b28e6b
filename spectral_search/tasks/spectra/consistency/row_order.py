"""Whether the rows of the labels stand in the order of the spectra, as far as labels can be seen in spectra.

S/N can be measured, so that a label of S/N alone decides, where it varies. Otherwise magnitude must show in S/N, error
or flux, or the parameters of the stars in their colours, the spectra being free of noise; rows are suspected where
nothing shows. Witnesses are judged by rank correlation, so that neither units nor logarithms matter; that of unrelated
rows is normal with standard deviation 1 / sqrt(K - 1).
Shape suffixes: K sampled spectra, N spectra, C colours.
"""

import math

import numpy as np

from spectral_search.tasks.spectra.consistency.mismatch import listed
from spectral_search.tasks.spectra.consistency.sampled_spectra import ShardSample
from spectral_search.tasks.spectra.consistency.typical_levels import Level

_UNRELATED_SIGMAS = 4.0
"""Rank correlations within so many standard deviations of 0 are those of unrelated rows."""
_RESTORED = 0.7
"""Rank correlation that rows sorted by id must reach to be called restored."""
_BRIGHTNESS_FACTOR = 1.2
"""S/N, error or flux that differ less among the spectra of a shard were made alike, and are no witness."""
_SAME = 0.01
"""A label that varies by a smaller part of itself is constant."""
_FEWEST = 48
"""Fewer spectra show nothing: the bound is 0.58 there."""


def order_suspicions(samples: list[ShardSample]) -> list[str]:
    """One sentence for the shards whose labels have nothing to do with their spectra."""
    suspected: dict[str, list[str]] = {}
    for sample in samples:
        if told := _suspicion(sample):
            suspected.setdefault(told, []).append(sample.name)
    return [
        f"The labels of {listed(names)} may stand in another order than the spectra: {told}."
        for told, names in suspected.items()
    ]


def _suspicion(sample: ShardSample) -> str | None:
    """Why the labels of a shard look as if they were of other rows; None where they do not."""
    silent: list[tuple[str, np.ndarray, np.ndarray]] = []
    for labels, told, seen_KC in _witnesses(sample):
        for name in labels:
            strength = _strongest(sample, sample.labels[name], seen_KC) if name in sample.labels else None
            if strength is None:
                continue
            if strength > _UNRELATED_SIGMAS / (len(sample.rows_K) - 1) ** 0.5:
                return None
            silent.append((f"{name} {told}", sample.labels[name], seen_KC))
        if silent and labels == ("snr",):
            break  # what measures S/N itself needs no other witness
    if not silent:
        return None
    return f"{' and '.join(told for told, _, _ in silent)}{_by_id(sample, silent)}"


def _witnesses(sample: ShardSample) -> list[tuple[tuple[str, ...], str, np.ndarray]]:
    """Labels, what they should go with, and that as columns (K, C); the surest first."""
    brightness_KC = np.stack([sample.snr_K, sample.error_K, sample.flux_K], axis=1)
    brightness_KC[:, ~_varies(brightness_KC)] = np.nan
    return [
        (("snr",), "has nothing to do with the S/N of the spectra", brightness_KC[:, :1]),
        (("mag",), "has nothing to do with their brightness", brightness_KC),
        (("T_eff", "log_g", "M_H"), "has nothing to do with their colours", sample.colour_KC),
    ]


def _varies(brightness_KC: np.ndarray) -> np.ndarray:
    """Which columns differ enough between spectra to be a matter of brightness, bool (C,)."""
    levels = [Level.of(column_K) for column_K in brightness_KC.T]
    return np.array([level is not None and level.high - level.low > math.log(_BRIGHTNESS_FACTOR) for level in levels])


def _by_id(sample: ShardSample, silent: list[tuple[str, np.ndarray, np.ndarray]]) -> str:
    """Whether the rows agree once they are sorted by id."""
    if sample.id_N is None or len(set(sample.id_N.tolist())) < len(sample.id_N):
        return ""
    sorted_N = np.argsort(sample.id_N, kind="stable")
    if (sorted_N == np.arange(len(sorted_N))).all():
        return ""
    strengths = [_strongest(sample, label_N[sorted_N], seen_KC) or 0.0 for _, label_N, seen_KC in silent]
    return f"; {'they would if sorted by id' if max(strengths) > _RESTORED else 'their ids are not in order'}"


def _strongest(sample: ShardSample, label_N: np.ndarray, seen_KC: np.ndarray) -> float | None:
    """The strongest rank correlation of a label with any column; None where there is too little to tell."""
    label_K, strengths = label_N[sample.rows_K], []
    for seen_K in seen_KC.T:
        both_K = np.isfinite(label_K) & np.isfinite(seen_K)
        one_K, other_K = label_K[both_K], seen_K[both_K]
        if len(one_K) >= _FEWEST and np.ptp(one_K) > _SAME * np.abs(one_K).max() and np.ptp(other_K) > 0:
            strengths.append(abs(float(np.corrcoef(_ranks(one_K), _ranks(other_K))[0, 1])))
    return max(strengths, default=None)


def _ranks(value_K: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    _, place_K, count = np.unique(value_K, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: np.ndarray = (last - 0.5 * (count - 1))[place_K]
    return ranks
