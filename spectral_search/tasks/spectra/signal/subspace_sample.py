"""What a sample of the spectra shows of the subspace of the signal: from the cache, else measured and kept.

Shape suffixes: N spectra, L pixels, Q directions that are looked at, S numbers of directions: 16, 32, ..., Q.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from spectral_search.record.array_cache import ArrayCache, key_of
from spectral_search.record.row_hash import digest_array
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import (
    Gathering,
    digests_of,
    is_as_found,
    known_digests,
    remember_hashes,
)
from spectral_search.tasks.spectra.shards.split import Selection, Splits
from spectral_search.tasks.spectra.shards.spread_sample import spread
from spectral_search.tasks.spectra.signal.subspace import STEP, find_directions, outside_steps, whitened
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing, PreprocessingFit, set_validity

_SAMPLED_BYTES = 128 << 20
"""Noise-free flux, as float32, that the directions are taken from: 8,192 spectra of 4,096 pixels."""
_MOST_SAMPLED = 8192
_CHECKED_SPECTRA = 2048
"""Of val and test: for invalid pixels, and what signal of val lies outside the subspace."""
_ARRAYS = ("flux", "error", "mask")
_KIND = "subspace"
_FORMAT = 1
"""Raised with every change of what is seen or how it is stored: an old entry must not pass for a new one."""
_VARIANCE, _OUTSIDE = "seen_variance", "seen_outside"


@dataclass(frozen=True)
class SeenSubspace:
    """What the sample shows.

    Attributes:
        prep: Fitted to the sample; holds all directions that were looked at.
        variance_Q: Variance of the signal along each, in units of the noise.
        outside_S: Mean variance of held-out noise-free val spectra outside the first 16, 32, ..., Q directions, in
            units of the noise of one.
        sampled: Training spectra that the directions are from.
    """

    prep: Preprocessing
    variance_Q: np.ndarray
    outside_S: np.ndarray
    sampled: int

    def outside(self, components: int) -> float:
        """Of `outside_S` that of so many components, a multiple of 16 or all."""
        return float(self.outside_S[-(-components // STEP) - 1])

    def take(self, components: int) -> Preprocessing:
        """Preprocessing with the strongest directions alone."""
        directions_LK = np.ascontiguousarray(self.prep.directions_LK[:, :components])
        return replace(self.prep, directions_LK=directions_LK, strength_K=self.prep.strength_K[:components])


def see_subspace(splits: Splits, seed: int, cache: ArrayCache | None) -> SeenSubspace:
    """Look at samples of train, val and test.

    Args:
        splits: Which spectra.
        seed: Of the search for directions.
        cache: Where it is kept; None keeps nothing.

    Raises:
        RequestError: No pixel is valid in all sets, or the labels do not vary.
    """
    samples = _samples(splits)
    log_g_N = splits.train.labels()["log_g"].to_numpy()
    # The target is scaled by all training labels and not by those of the sample, so they belong to the key.
    rest = _FORMAT, seed, digest_array(log_g_N)
    if cache is not None and (key := _known_key(samples, rest)) is not None:
        # A damaged entry is told of where it costs time: here it is seen again in a second or two.
        found = cache.recall(_KIND, key, [])
        if found is not None:
            arrays = {name: array.copy() for name, array in found.arrays.items()}
            variance_Q, outside_S = arrays.pop(_VARIANCE), arrays.pop(_OUTSIDE)
            return SeenSubspace(Preprocessing.from_arrays(arrays), variance_Q, outside_S, len(samples["train"]))
    gatherings = {part: Gathering(sample) for part, sample in samples.items()}
    seen = _look(gatherings, log_g_N, seed)
    if cache is not None and all(is_as_found(sample) for sample in samples.values()):
        hashes = {part: gathering.whole() for part, gathering in gatherings.items()}
        for part, sample in samples.items():
            remember_hashes(sample, hashes[part])
        key = _key({part: digests_of(sample, hashes[part]) for part, sample in samples.items()}, rest)
        arrays = {**seen.prep.to_arrays(), _VARIANCE: seen.variance_Q, _OUTSIDE: seen.outside_S}
        facts = {"spectra": len(splits.train), "pixels": splits.train.pixels, "components": len(seen.variance_Q)}
        cache.keep(_KIND, key, arrays, {**facts, "shards": [shard.name for shard in splits.train.shards]})
    return seen


def _samples(splits: Splits) -> dict[str, Selection]:
    most = min(_MOST_SAMPLED, _SAMPLED_BYTES // (4 * splits.train.pixels))
    found = {"train": spread(splits.train, most), "val": spread(splits.val, _CHECKED_SPECTRA)}
    if splits.test is not None:
        found["test"] = spread(splits.test, _CHECKED_SPECTRA)
    return found


def _known_key(samples: Mapping[str, Selection], rest: tuple[object, ...]) -> str | None:
    digests = {}
    for part, sample in samples.items():
        known = known_digests(sample, _ARRAYS) if is_as_found(sample) else None
        if known is None:
            return None
        digests[part] = known
    return _key(digests, rest)


def _key(digests: Mapping[str, Mapping[str, str]], rest: tuple[object, ...]) -> str:
    told = (f"{part} {sorted(found.items())}" for part, found in sorted(digests.items()))
    return key_of(_KIND, *rest, *told)


def _look(gatherings: Mapping[str, Gathering], log_g_N: np.ndarray, seed: int) -> SeenSubspace:
    prep, flux_NL = _fit(gatherings, log_g_N)
    subspace = find_directions(whitened(flux_NL, prep.centre_L, prep.inverse_noise_L), seed)
    val = iter_blocks(gatherings["val"].selection, condition=prep.conditioning)
    val_NL = np.concatenate([block.flux_BL for block in val])
    outside_S = outside_steps(whitened(val_NL, prep.centre_L, prep.inverse_noise_L), subspace.directions_LK)
    prep = replace(prep, directions_LK=subspace.directions_LK, strength_K=subspace.strength_K)
    return SeenSubspace(prep, subspace.variance_Q, outside_S, len(flux_NL))


def _fit(gatherings: Mapping[str, Gathering], log_g_N: np.ndarray) -> tuple[Preprocessing, np.ndarray]:
    """Statistics of the sample and its conditioned flux, (N, L)."""
    train, *others = gatherings.values()
    fit = PreprocessingFit(train.selection.pixels)
    blocks = list(fit.watch(_hashed(train)))
    votes = [set_validity(_hashed(other), train.selection.pixels) for other in others]
    prep = fit.finish(log_g_N, votes)
    for block in blocks:
        prep.conditioning(block.flux_BL, block.error_BL)
    return prep, np.concatenate([block.flux_BL for block in blocks])


def _hashed(gathering: Gathering) -> Iterator[Block]:
    return gathering.watch(iter_blocks(gathering.selection, hashed=True))
