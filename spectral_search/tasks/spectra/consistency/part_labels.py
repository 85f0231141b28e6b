"""Whether the labels of all shards are of one kind: their ranges, and numbers that stand for unknown.

The range of some labels is that of their inner 99%, widened by what so few spectra cannot show of it. val and test are
held against train, since a network can only learn what it is shown; a narrower val or test is no fault. Train shards
may well be sorted, by T_eff say, so that one of them is refused only where it lies as far out as the others are wide.
Shape suffixes: N spectra.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spectral_search.tasks.spectra.consistency.mismatch import Mismatches, listed
from spectral_search.tasks.spectra.consistency.sampled_spectra import LABELS, ShardSample

_MARKS = (
    0.0,
    *(sign * size for size in (99.0, 99.9, 99.99, 999.0, 999.9, 999.99, 9999.0, 99999.0) for sign in (-1, 1)),
)
_MARKS += (-9.0, -9.9, -9.99, -32768.0)
"""Numbers that catalogues write for what they do not know."""
_POSSIBLE_LOG_G_DEX = (-1.0, 7.0)
_OF_THE_STAR = ("log_g", "T_eff", "M_H")
"""Labels that cannot be of other stars in every spectrum; S/N, magnitude and abundances may be chosen."""
_INNER = (0.005, 0.995)
_MARGIN, _SMALL_MARGIN = 0.1, 5.0
"""A range is widened by these parts of its width, the second divided by the number of spectra that it rests on."""
_MOSTLY, _SOME = 0.5, 0.05


@dataclass(frozen=True)
class _Range:
    """Of a label in some spectra, widened."""

    low: float
    high: float
    spectra: int

    @classmethod
    def of(cls, value_N: np.ndarray) -> "_Range | None":
        if not len(value_N):
            return None
        low, high = np.quantile(value_N, _INNER)
        return cls(float(low), float(high), len(value_N))

    @classmethod
    def joined(cls, ranges: "Sequence[_Range]") -> "_Range":
        low, high = min(one.low for one in ranges), max(one.high for one in ranges)
        return cls(low, high, sum(one.spectra for one in ranges))

    @property
    def width(self) -> float:
        return self.high - self.low

    def outside(self, value_N: np.ndarray) -> np.ndarray:
        """Which values lie outside, bool (N,)."""
        margin = self.width * (_MARGIN + _SMALL_MARGIN / self.spectra)
        outside_N: np.ndarray = (value_N < self.low - margin) | (value_N > self.high + margin)
        return outside_N

    def __str__(self) -> str:
        return f"{self.low:.4g} to {self.high:.4g}"


Known = Mapping[str, np.ndarray]
"""Finite values of one label by shard, (N,) each."""


def label_mismatches(train: Sequence[ShardSample], parts: Sequence[Sequence[ShardSample]]) -> Mismatches:
    """Holds the labels of shards against each other.

    Args:
        train: The training shards, at least one.
        parts: The val shards and the test shards.
    """
    found = Mismatches()
    for label in LABELS:
        known = _known([*train, *(sample for part in parts for sample in part)], label)
        known = _without_marks(label, known, found)
        own = {sample.name: known[sample.name] for sample in train if sample.name in known}
        ranges = {name: here for name, value_N in own.items() if (here := _Range.of(value_N)) is not None}
        if not ranges or label == "snr":  # which is measured, and held together there
            continue
        if _judge_train(label, own, ranges, found):
            continue  # there is no one range for the others to lie in
        whole = _Range.joined(list(ranges.values()))
        for part in parts:
            there = {sample.name: known[sample.name] for sample in part if sample.name in known}
            if there:
                _judge_part(label, there, whole, listed(ranges), found)
    return found


def _known(samples: Sequence[ShardSample], label: str) -> dict[str, np.ndarray]:
    values = {sample.name: sample.labels[label] for sample in samples if label in sample.labels}
    return {name: value_N[np.isfinite(value_N)] for name, value_N in values.items()}


def _without_marks(label: str, known: Known, found: Mismatches) -> dict[str, np.ndarray]:
    """Names numbers that stand for unknown, which lie apart from all other values, and leaves them out."""
    kept = {name: value_N[~np.isin(value_N, _MARKS)] for name, value_N in known.items()}
    ranges = [here for value_N in kept.values() if (here := _Range.of(value_N)) is not None]
    if not ranges:
        return dict(known)
    whole, left = _Range.joined(ranges), {}
    for name, value_N in known.items():
        mark_N = np.isin(value_N, _MARKS) & whole.outside(value_N)
        left[name] = value_N[~mark_N]
        if mark_N.any():
            marks = np.unique(value_N[mark_N])
            told = (
                f"{label} is {' or '.join(f'{mark:g}' for mark in marks)} in {int(mark_N.sum()):,} of {len(value_N):,} "
                f"spectra of {name}, and {whole} elsewhere: a mark for unknown, which is taken for a number"
            )
            low, high = _POSSIBLE_LOG_G_DEX
            impossible = label == "log_g" and ((marks < low) | (marks > high)).any()
            (found.refused if impossible else found.odd).append(f"{told}. Leave those spectra out.")
    return left


def _judge_train(label: str, own: Known, ranges: Mapping[str, _Range], found: Mismatches) -> bool:
    """Holds each train shard against the others; whether one was refused."""
    odd: list[str] = []
    for name, here in ranges.items():
        others = [other for other_name, other in ranges.items() if other_name != name]
        if not others:
            return False
        whole = _Range.joined(others)
        if whole.width == 0 or whole.outside(own[name]).mean() <= _MOSTLY:
            continue
        middle = float(np.median(own[name]))
        far = max(whole.low - middle, middle - whole.high)
        if label in _OF_THE_STAR and far > max(whole.width, here.width):
            rest = listed(other for other in ranges if other != name)
            found.refused.append(
                f"{label} of {name} runs from {here} and that of {rest} from {whole}: a label in another unit or of "
                "another kind."
            )
            return True
        odd.append(f"{name} ({here})")
    if odd:
        found.odd.append(
            f"{label} of {listed(odd)} lies mostly outside what the other train shards hold: sorted shards?"
        )
    return False


def _judge_part(label: str, there: Known, whole: _Range, train: str, found: Mismatches) -> None:
    """Holds val, or test, against train."""
    value_N = np.concatenate(list(there.values()))
    here = _Range.of(value_N)
    if here is None:
        return
    outside = int(whole.outside(value_N).sum())
    share = outside / len(value_N)
    told = f"{label} of {listed(there)} runs from {here} and that of {train} from {whole}"
    if share > _MOSTLY and label in _OF_THE_STAR and whole.width > 0:
        found.refused.append(
            f"{told}, so that {share:.0%} lie outside: a label in another unit or of another kind, or stars that the "
            "network is never shown."
        )
    elif share > _SOME and outside > 1:
        found.odd.append(f"{told}, so that {share:.0%} lie outside, where a network has to extrapolate.")
