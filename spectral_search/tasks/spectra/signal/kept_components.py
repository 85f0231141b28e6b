"""The components of a training set: from the cache where the same spectra were compressed before, else made and kept.

An entry is found by all bytes of the spectra (`content`: known without reading them where their files are unchanged)
and by all that compressing depends on. It holds the hash of each spectrum too, so that a run that reads none of them
has the same record of its data as one that reads them all.
Shape suffixes: N spectra, L pixels, K components, R shared matrices.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spectral_search.record.array_cache import ArrayCache, key_of
from spectral_search.record.array_file import ArrayFile
from spectral_search.record.row_hash import digest_array
from spectral_search.record.wording import size
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.shards.content import (
    Digests,
    Gathering,
    Hashes,
    arrays_used,
    digests_of,
    is_as_found,
    known_digests,
    remember_hashes,
)
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.unread_blocks import AnyBlock
from spectral_search.tasks.spectra.signal.components import Components
from spectral_search.tasks.spectra.signal.compress import Told, compress, unheard
from spectral_search.tasks.spectra.training.dataset import oracle_bins
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

_KIND = "components"
_FORMAT = 3
"""Raised with every change of what components are or how they are stored: an old entry must not pass for a new one."""
_HASH = "hash_"


@dataclass(frozen=True)
class Kept:
    """Components, and where they come from.

    Attributes:
        components: Of the training spectra.
        hashes: Of each of these spectra, as if they had been read now.
        notes: What to tell, a sentence each.
    """

    components: Components
    hashes: Hashes
    notes: tuple[str, ...]


def kept_components(
    selection: Selection,
    read: Callable[[], Iterator[AnyBlock]],
    prep: Preprocessing,
    noise_level: float,
    cache: ArrayCache | None,
    told: Told = unheard,
) -> Kept:
    """Components of a training set.

    Args:
        selection: The training spectra.
        read: Begins to read them; without hashes, what is made of them is not kept.
        prep: Statistics of the training set, with the subspace.
        noise_level: Factor on the error.
        cache: Where they are kept; None keeps nothing.
        told: As of `compress`.
    """
    notes: list[str] = []
    known = None
    if cache is not None and is_as_found(selection):
        known = known_digests(selection, arrays_used("train", selection))
    if cache is not None and known is not None:
        found = cache.recall(_KIND, _key(known, prep, noise_level), notes)
        if found is not None:
            components = _components(found, selection)
            where = f"{_what(selection)}: {size(components.nbytes)}, from the cache in {cache.folder}."
            return Kept(components, _hashes(found, selection), (*notes, where))
    gathering, started = Gathering(selection), time.monotonic()
    components = compress(selection, lambda: _watched(read(), gathering), prep, noise_level, told)
    seconds, hashes = time.monotonic() - started, gathering.whole()
    made = f"{_what(selection)}: {size(components.nbytes)}, compressed in {seconds:.1f} s, "
    # What lies in other files, or was written meanwhile, would not be known again without reading it.
    if cache is None or not hashes or not is_as_found(selection):
        return Kept(components, hashes, (*notes, f"{made}not kept."))
    remember_hashes(selection, hashes)
    key = _key(digests_of(selection, hashes), prep, noise_level)
    why_not = cache.keep(_KIND, key, _arrays(components, hashes), _facts(components, selection, noise_level))
    kept = f"kept in {cache.folder}" if why_not is None else f"not kept ({why_not})"
    return Kept(components, hashes, (*notes, f"{made}{kept}."))


def _watched(blocks: Iterator[AnyBlock], gathering: Gathering) -> Iterator[AnyBlock]:
    """Blocks that were read without hashes pass too: what is made of them cannot be kept."""

    def look(block: Block) -> None:
        if block.hashes is not None:
            gathering.add(block)

    for block in blocks:
        yield block.then(look)


def _key(digests: Digests, prep: Preprocessing, noise_level: float) -> str:
    used = prep.valid_L, prep.centre_L, prep.inverse_noise_L, prep.directions_LK
    settings = _FORMAT, prep.flux_scale, float(noise_level), *(digest_array(array) for array in used)
    return key_of(_KIND, *sorted(digests.items()), *settings)


def _arrays(components: Components, hashes: Hashes) -> dict[str, np.ndarray]:
    marked = {array: hash_N for array, hash_N in hashes.items() if array != "mask" or hash_N.any()}
    return {
        "mean": components.mean_NK,
        "mix": components.mix_NR,
        "factors": components.factors_RKK,
        **{_HASH + array: hash_N for array, hash_N in marked.items()},
    }


def _facts(components: Components, selection: Selection, noise_level: float) -> dict[str, object]:
    return {
        "spectra": len(components),
        "pixels": selection.pixels,
        "components": int(components.mean_NK.shape[1]),
        "noise_level": float(noise_level),
        "covariance_error": components.covariance_error,
        "shards": [shard.name for shard in selection.shards],
        "made_at": time.time(),
    }


def _components(found: ArrayFile, selection: Selection) -> Components:
    """As `compress` makes them: labels are read anew, they take no time."""
    labels, arrays = selection.labels(), found.arrays
    return Components(
        arrays["mean"],
        arrays["mix"],
        arrays["factors"],
        labels["log_g"].to_numpy(np.float32),
        oracle_bins(labels),
        float(found.facts["covariance_error"]),
    )


def _hashes(found: ArrayFile, selection: Selection) -> Hashes:
    hashes = {name.removeprefix(_HASH): array for name, array in found.arrays.items() if name.startswith(_HASH)}
    if "mask" not in hashes:
        hashes["mask"] = np.zeros(len(selection), np.uint64)
    return hashes


def _what(selection: Selection) -> str:
    return f"Components of {len(selection):,} spectra"
