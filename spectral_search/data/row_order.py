"""Whether the rows of the labels stand in the order of the spectra, as far as labels can be seen in spectra.

S/N can be measured and is the surest witness, magnitude next, for it makes S/N, error or flux; where a shard has
neither, the parameters of the stars must show in their colours, the spectra being free of noise. Witnesses are judged
by rank correlation, so that neither units nor logarithms matter. That of unrelated rows is normal with standard
deviation 1 / sqrt(K - 1).
Shape suffixes: K sampled spectra, N spectra, C colours.
"""

import numpy as np

from spectral_search.data.mismatch import listed
from spectral_search.data.sampled import ShardSample

UNRELATED_SIGMAS = 4.0
"""Rank correlations within so many standard deviations of 0 are those of unrelated rows."""
RESTORED = 0.7
"""Rank correlation that rows sorted by id must reach to be called restored."""
FEWEST = 48
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
    for labels, told, seen_KC in _witnesses(sample):
        known = {name: value_N for name in labels if (value_N := sample.labels.get(name)) is not None}
        found = {name: _strongest(value_N[sample.rows_K], seen_KC) for name, value_N in known.items()}
        judged = [strength for strength in found.values() if strength is not None]
        if not judged:
            continue
        rows = int(np.isfinite(sample.flux_K).sum())
        if max(judged) > UNRELATED_SIGMAS / (rows - 1) ** 0.5:
            return None
        return f"{' and '.join(found)} {told}{_by_id(sample, list(known.values()), seen_KC)}"
    return None


def _witnesses(sample: ShardSample) -> list[tuple[tuple[str, ...], str, np.ndarray]]:
    """Labels, what they should go with, and that as columns (K, C); the surest first."""
    brightness_KC = np.stack([sample.snr_K, sample.error_K, sample.flux_K], axis=1)
    return [
        (("snr",), "has nothing to do with the S/N of the spectra", sample.snr_K[:, None]),
        (("mag",), "has nothing to do with flux, error and S/N of the spectra", brightness_KC),
        (("T_eff", "log_g", "M_H"), "have nothing to do with the colours of the spectra", sample.colour_KC),
    ]


def _by_id(sample: ShardSample, known: list[np.ndarray], seen_KC: np.ndarray) -> str:
    """Whether the rows agree once they are sorted by id."""
    if sample.id_N is None or len(set(sample.id_N.tolist())) < len(sample.id_N):
        return ""
    sorted_N = np.argsort(sample.id_N, kind="stable")
    if (sorted_N == np.arange(len(sorted_N))).all():
        return ""
    strengths = [_strongest(value_N[sorted_N][sample.rows_K], seen_KC) for value_N in known]
    restored = max((strength for strength in strengths if strength is not None), default=0.0) > RESTORED
    return ", and would if the rows were sorted by id" if restored else ", and their ids are not in order"


def _strongest(label_K: np.ndarray, seen_KC: np.ndarray) -> float | None:
    """The strongest rank correlation of a label with any column; None where there is too little to tell."""
    strengths = []
    for seen_K in seen_KC.T:
        both_K = np.isfinite(label_K) & np.isfinite(seen_K)
        one_K, other_K = label_K[both_K], seen_K[both_K]
        if len(one_K) >= FEWEST and np.ptp(one_K) > 0 and np.ptp(other_K) > 0:
            strengths.append(abs(float(np.corrcoef(_ranks(one_K), _ranks(other_K))[0, 1])))
    return max(strengths, default=None)


def _ranks(value_K: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing the mean of theirs."""
    _, place_K, count = np.unique(value_K, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks: np.ndarray = (last - 0.5 * (count - 1))[place_K]
    return ranks
