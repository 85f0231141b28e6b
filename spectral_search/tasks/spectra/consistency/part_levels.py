"""Whether flux and error of all shards are in one unit, and whether the stars are observed alike.

Each train shard is held against the train shard that is most like the others; each val and test shard against all of
train. What decides, of two typical levels that are apart by more than FACTOR:

- Flux. A unit moves flux and error and leaves the S/N, or moves flux and S/N by the same factor, out of all that the
  other shard has. Brighter stars move flux and S/N in the same sense, and their fluxes overlap the others', or their
  magnitudes say so. So fluxes that do not overlap are refused, and so is flux that moves without its S/N.
- Error at equal flux. That is the S/N, which a survey may well choose: S/N 20 to 30 in test beside 3 to 30 in train is
  odd, not wrong. It is refused where even the ranges of S/N are apart by FACTOR, and where the error is the square of
  what the other shard has, or one over it: a variance.
- Contrast, the variation of the flux within a spectrum as a part of its level: no unit changes it, a continuum that
  was divided out or an offset does. Contrasts that are apart and do not overlap are refused.

A few spectra have no typical level, so that nothing counts that is not SIGMAS standard errors of the medians apart.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from spectral_search.tasks.spectra.consistency.mismatch import Mismatches, listed
from spectral_search.tasks.spectra.consistency.sampled_spectra import ShardSample
from spectral_search.tasks.spectra.consistency.typical_levels import Level, logs

_FACTOR = 3.0
"""Typical levels of one data set are not further apart."""
_ODD_FACTOR = 1.5
"""Levels of samples of the same stars are not further apart."""
_SIGMAS = 4.0
_SAME_FACTOR = 1.5
"""Two factors that differ by less are one."""
_SNR_MOVES = 0.35
"""Of brighter stars, log S/N moves by at least this part of log flux: 1/2 by photon noise alone, 1 on a bright sky."""
_TORN_FACTOR = 100.0
"""No spectrum of a data set is so far from the next brighter one."""
_MANY = 0.5


@dataclass(frozen=True)
class _Group:
    """Sampled spectra that count as one set: of a shard, or of all train shards."""

    name: str
    samples: tuple[ShardSample, ...]

    def _level(self, values: Callable[[ShardSample], np.ndarray]) -> Level | None:
        return Level.of(np.concatenate([values(sample) for sample in self.samples]))

    @cached_property
    def flux(self) -> Level | None:
        return self._level(lambda sample: sample.flux_K)

    @cached_property
    def error(self) -> Level | None:
        return self._level(lambda sample: sample.error_K)

    @cached_property
    def snr(self) -> Level | None:
        return self._level(lambda sample: np.abs(sample.snr_K))

    @cached_property
    def contrast(self) -> Level | None:
        return self._level(lambda sample: sample.contrast_K)

    @cached_property
    def magnitude(self) -> float | None:
        """Median magnitude of the sampled spectra, where it is known."""
        known = [sample.labels["mag"][sample.rows_K] for sample in self.samples if "mag" in sample.labels]
        magnitude_K = np.concatenate(known) if known else np.zeros(0)
        magnitude_K = magnitude_K[np.isfinite(magnitude_K)]
        return float(np.median(magnitude_K)) if len(magnitude_K) else None


Judged = tuple[str, str]
"""What kind of difference there is, and the sentence; kinds that begin with `odd` are possible."""


def level_mismatches(train: Sequence[ShardSample], parts: Sequence[Sequence[ShardSample]]) -> Mismatches:
    """Holds the flux, error and S/N of shards against each other.

    Args:
        train: The training shards, at least one.
        parts: The val shards and the test shards.
    """
    found = Mismatches()
    for sample in chain(train, *parts):
        found.extend(_within(sample))
    if found.refused:
        return found  # a shard that is torn or dark has no level to be held against
    groups = [_Group(sample.name, (sample,)) for sample in train]
    typical = _most_alike(groups)
    _judge_all([group for group in groups if group is not typical], typical, found)
    if found.refused:
        return found  # train has no one level for others to have
    whole = typical if len(groups) == 1 else _Group(f"the {len(groups)} train shards", tuple(train))
    _judge_all([_Group(sample.name, (sample,)) for sample in chain.from_iterable(parts)], whole, found)
    return found


def _most_alike(groups: Sequence[_Group]) -> _Group:
    """The group with the smallest distance to all others: one of the majority, where one shard is odd."""

    def distance(one: _Group) -> float:
        return sum(
            abs(mine.shift(theirs))
            for other in groups
            for mine, theirs in ((one.flux, other.flux), (one.error, other.error))
            if mine is not None and theirs is not None
        )

    return min(groups, key=distance)


def _judge_all(groups: Sequence[_Group], whole: _Group, found: Mismatches) -> None:
    """One sentence for each kind of difference; shards that share it are named together."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for group in groups:
        for kind, sentence in _judged(group, whole):
            kinds.setdefault(kind, []).append((group.name, sentence))
    for kind, told in kinds.items():
        alike = f" (likewise {listed(name for name, _ in told[1:])})" if len(told) > 1 else ""
        (found.odd if kind.startswith("odd") else found.refused).append(told[0][1] + alike)


def _judged(one: _Group, other: _Group) -> list[Judged]:
    """What sets two groups apart."""
    if not (one.flux and other.flux and one.error and other.error):
        return []
    judged = []
    if _apart(one.flux, other.flux):
        judged.append(_flux_apart(one, other, one.flux, other.flux))
    elif _apart(one.error, other.error):
        judged.append(_error_apart(one, other, one.error, other.error))
    elif one.snr and other.snr and _apart(one.snr, other.snr, _ODD_FACTOR):
        judged.append(_odd_snr(one, other))
    elif _apart(one.flux, other.flux, _ODD_FACTOR):
        judged.append(
            ("odd flux", f"{_both('flux', one.name, one.flux, other.name, other.flux)}: other stars, or another unit?")
        )
    if one.contrast and other.contrast and _apart(one.contrast, other.contrast):
        judged.append(_contrast_apart(one.name, one.contrast, other.name, other.contrast))
    return judged


def _apart(one: Level, other: Level, factor: float = _FACTOR) -> bool:
    return abs(one.shift(other)) > max(math.log(factor), _SIGMAS * one.shift_error(other))


def _flux_apart(one: _Group, other: _Group, flux: Level, whole: Level) -> Judged:
    shift = flux.shift(whole)
    snr_shift = one.snr.shift(other.snr) if one.snr and other.snr else 0.0
    told = _both("flux", one.name, flux, other.name, whole)
    brighter = flux.gap(whole) == 0 and snr_shift * math.copysign(1.0, shift) >= _SNR_MOVES * abs(shift)
    if brighter or _as_magnitudes_say(one, other, shift):
        return "odd flux", f"{told}, and its S/N goes along: other stars, to which a network has to extrapolate."
    if abs(snr_shift) < math.log(_SAME_FACTOR):
        return "flux and error", f"{told}, at about the same S/N: one of the two is in another unit{_power(shift)}."
    return (
        "flux",
        f"{told}, and S/N {_two(one.snr, other.snr)}: its flux is in another unit than its error{_power(shift)}.",
    )


def _as_magnitudes_say(one: _Group, other: _Group, shift: float) -> bool:
    """Whether the stars are brighter by that much by their magnitudes too."""
    if one.magnitude is None or other.magnitude is None:
        return False
    meant = -0.4 * math.log(10.0) * (one.magnitude - other.magnitude)
    return abs(meant) > math.log(_SAME_FACTOR) and abs(shift - meant) < math.log(_SAME_FACTOR)


def _error_apart(one: _Group, other: _Group, error: Level, whole: Level) -> Judged:
    told = _both("error", one.name, error, other.name, whole)
    if squared := _squared(error, whole) or _squared(whole, error):
        whose = one.name if _squared(error, whole) else other.name
        return "variance", f"{told}, at about the same flux: the error of {whose} looks like {squared}."
    if one.snr and other.snr and one.snr.gap(other.snr) > math.log(_FACTOR):
        return "error", f"{told}, at about the same flux: one error is in another unit{_power(error.shift(whole))}."
    return _odd_snr(one, other)


def _odd_snr(one: _Group, other: _Group) -> Judged:
    return "odd snr", (
        f"S/N is typically {_two(one.snr, other.snr)} in {one.name} and {other.name}: if that is not meant, an error "
        "array is wrong."
    )


def _contrast_apart(name: str, contrast: Level, other_name: str, whole: Level) -> Judged:
    told = (
        f"The flux within a spectrum of {name} typically varies by {contrast.value:.2g} of its level, in {other_name} "
        f"by {whole.value:.2g}"
    )
    if contrast.gap(whole) > 0:
        return "contrast", f"{told}: in one the continuum was divided out, or an offset was added."
    return "odd contrast", f"{told}: other stars, or other steps before they were written."


def _squared(error: Level, whole: Level) -> str | None:
    """What kind of square an error is of the other's, if any: logs are doubled, and so is their spread."""
    close, doubled = math.log(_SAME_FACTOR), _SAME_FACTOR < error.spread / max(whole.spread, 1e-12) < 2 * _SAME_FACTOR
    if doubled and abs(error.median - 2 * whole.median) < close:
        return "a variance, the square of an error"
    if doubled and abs(error.median + 2 * whole.median) < close:
        return "an inverse variance, one over the square of an error"
    return None


def _both(what: str, name: str, level: Level, other_name: str, whole: Level) -> str:
    factor = math.exp(abs(level.shift(whole)))
    return (
        f"The {what} of {name} is typically {level.value:.3g} and that of {other_name} {whole.value:.3g}, apart by a "
        f"factor of {factor:.3g}"
    )


def _two(one: Level | None, other: Level | None) -> str:
    return " and ".join("unknown" if level is None else f"{level.value:.3g}" for level in (one, other))


def _power(shift: float) -> str:
    """A hint at a unit where the factor is a power of ten, which units and scale factors are."""
    power = abs(shift) / math.log(10.0)
    if round(power) >= 1 and abs(power - round(power)) * math.log(10.0) < math.log(_SAME_FACTOR):
        return f" (a factor of about 1e{round(power)}: cgs units, counts, or a scale factor left out)"
    return " (counts, a scale factor left out, or normalised spectra)"


def _within(sample: ShardSample) -> Mismatches:
    """Spectra without flux, and a shard whose own spectra are in two units."""
    found = Mismatches()
    seen = int(np.isfinite(sample.flux_K).sum())
    dark = int((sample.flux_K == 0).sum())
    if dark:
        told = (
            f"{dark} of {seen} sampled spectra of {sample.name} have flux 0 throughout: rows that were never written?"
        )
        (found.refused if dark > _MANY * seen else found.odd).append(told)
    for what, values_K in (("flux", sample.flux_K), ("error", sample.error_K)):
        log_K = np.sort(logs(values_K))
        steps = np.diff(log_K)
        if not len(steps) or steps.max() < math.log(_TORN_FACTOR):
            continue
        cut = int(steps.argmax()) + 1
        low, high = (math.exp(float(np.median(part))) for part in (log_K[:cut], log_K[cut:]))
        few = min(cut, len(log_K) - cut)
        told = (
            f"The {what} of {few} of {len(log_K)} sampled spectra of {sample.name} is of another level than that of "
            f"the rest: {low:.3g} and {high:.3g}, and nothing between"
        )
        if few > 0.05 * len(log_K):
            found.refused.append(f"{told}: the shard was put together from parts in different units.")
        else:
            found.odd.append(f"{told}: look at those spectra.")
        break  # the error mostly goes along
    return found
