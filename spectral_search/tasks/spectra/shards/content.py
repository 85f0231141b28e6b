"""What the spectra of a selection are, by all their bytes: from memory where their files are unchanged, else read.

The identity is made of row hashes (`row_hash`), so that it depends neither on how spectra are stored, cut into blocks
and ordered while they are read, nor on who reads them; it is that of the rows of a selection alone. Whoever reads a
selection anyway gathers the hashes on the way (`Gathering`); `content_digests` reads what is not known.

    digests = content_digests(selection, ("flux", "error", "mask"))     # array -> hex

Shape suffixes: N spectra of a selection, S of one shard.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Protocol, Self, TypeVar

import numpy as np

from spectral_search.record.digest_memo import DigestMemo, remember
from spectral_search.record.row_hash import UNMARKED, digest_rows, digest_texts, mask_hashes, row_hashes
from spectral_search.tasks.spectra.shards.blocks import Block, array_names, pieces, row_ranges
from spectral_search.tasks.spectra.shards.data_root import ShardInfo
from spectral_search.tasks.spectra.shards.shard import ARRAYS
from spectral_search.tasks.spectra.shards.split import Selection

Hashes = dict[str, np.ndarray]
"""By array: the hash of each row of a selection, uint64 (N,)."""
Digests = dict[str, str]
"""By array: the digest of a selection's rows. A mask that marks nothing is left out, as if it were not there."""


class _Passing(Protocol):
    def then(self, hear: Callable[[Block], None]) -> Self: ...


Passing = TypeVar("Passing", bound=_Passing)
"""Blocks, read or yet to be read."""

_WHOLE = "all"
_READ_BYTES = 8 << 20
_FRESH_SECONDS = 0.1
"""Within the tick of a file system's clock a second change may leave the same times."""


def arrays_used(part: str, selection: Selection) -> tuple[str, ...]:
    """The arrays that a search reads of a part: recorded noise is of no use in training."""
    return (*array_names(part != "train" and selection.has_noisy), "mask")


def by_shard(selection: Selection) -> Iterator[tuple[ShardInfo, np.ndarray, slice]]:
    """Of each shard that holds any of a selection: the shard, its selected rows (S,), and where they are among N."""
    offset = 0
    for shard in selection.shards:
        low, high = (int(place) for place in np.searchsorted(selection.rows_N, (offset, offset + shard.spectra)))
        if high > low:
            yield shard, selection.rows_N[low:high] - offset, slice(low, high)
        offset += shard.spectra


class Gathering:
    """Row hashes of a selection, in whatever order its blocks pass by, from any thread.

    Args:
        selection: What the blocks are of.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._hashes: Hashes = {}
        self._seen: dict[str, np.ndarray] = {}
        self._lock = Lock()

    def watch(self, blocks: Iterable[Passing]) -> Iterator[Passing]:
        """Passes on blocks that were, or will be, read with `hashed=True`."""
        for block in blocks:
            yield block.then(self.add)

    def add(self, block: Block) -> None:
        """Take note of a block.

        Raises:
            ValueError: It was read without hashes.
        """
        if block.hashes is None:
            raise ValueError("the block was read without hashes")
        with self._lock:
            for array, hash_B in block.hashes.items():
                if array not in self._hashes:
                    self._hashes[array] = np.full(len(self.selection), UNMARKED, np.uint64)
                    self._seen[array] = np.zeros(len(self.selection), bool)
                self._hashes[array][block.rows_B] = hash_B
                self._seen[array][block.rows_B] = True

    def know(self, hashes: Hashes) -> None:
        """Take note of all rows at once, known from elsewhere; what has passed by stays as it is.

        Args:
            hashes: See `Hashes`.
        """
        for array in hashes.keys() - self.whole().keys():
            self._hashes[array], self._seen[array] = hashes[array], np.ones(len(self.selection), bool)

    def whole(self) -> Hashes:
        """The arrays of which every row has come."""
        return {array: hash_N for array, hash_N in self._hashes.items() if self._seen[array].all()}


def read_hashes(selection: Selection, arrays: Sequence[str]) -> Hashes:
    """Reads the rows of a selection for their hashes alone.

    Args:
        selection: Which rows.
        arrays: Any of "flux", "error", "noisy" and "mask"; a mask that a shard lacks marks nothing.

    Raises:
        RequestError: A shard lacks an array, or cannot be read.
    """
    found: Hashes = {array: np.full(len(selection), UNMARKED, np.uint64) for array in arrays}
    for shard, rows_S, where in by_shard(selection):
        hashes = _shard_hashes(shard, rows_S, [array for array in arrays if array != "mask" or shard.has_mask])
        for array, hash_S in hashes.items():
            found[array][where] = hash_S
    return found


def _shard_hashes(info: ShardInfo, rows_S: np.ndarray, arrays: Sequence[str]) -> Hashes:
    found: Hashes = {array: np.empty(len(rows_S), np.uint64) for array in arrays}
    if not arrays:
        return found
    with info.open() as shard:
        for row_range in row_ranges(Selection([info], rows_S), _READ_BYTES):
            done = row_range.first
            for start, stop, keep in pieces(row_range):
                read = shard.read(start, stop, arrays)
                count = stop - start if keep is None else len(keep)
                for array, values_BL in read.items():
                    kept_BL = values_BL if keep is None else values_BL[keep]
                    hash_B = mask_hashes(kept_BL) if array == "mask" else row_hashes(kept_BL)
                    found[array][done : done + count] = hash_B
                done += count
    return found


def digests_of(selection: Selection, hashes: Mapping[str, np.ndarray]) -> Digests:
    """The digests that row hashes amount to.

    Args:
        selection: What the hashes are of.
        hashes: See `Hashes`.
    """
    parts = [(len(rows_S), _of_shard(hashes, where)) for _, rows_S, where in by_shard(selection)]
    return _joined(parts, tuple(hashes))


def remember_hashes(selection: Selection, hashes: Mapping[str, np.ndarray]) -> None:
    """Keep in memory what the files of a selection, as they are now, were found to hold.

    Args:
        selection: What has been read.
        hashes: Of its rows.
    """
    news = {}
    for shard, rows_S, where in by_shard(selection):
        if shard.stamp is not None and time.time() - (shard.mtime_ns or 0) / 1e9 > _FRESH_SECONDS:
            news[shard.stamp, _rows_key(shard, rows_S)] = _of_shard(hashes, where)
    remember(news)


def is_as_found(selection: Selection) -> bool:
    """Whether the files of a selection are still those that were looked at when it was made, as far as they tell."""
    for shard in selection.shards:
        try:
            status = shard.path.stat()
        except OSError:  # which whoever reads it will tell
            return False
        if (status.st_size, status.st_mtime_ns) != (shard.bytes, shard.mtime_ns):
            return False
    return True


def known_digests(selection: Selection, arrays: Sequence[str] = ARRAYS) -> Digests | None:
    """The digests of a selection without reading it: None where its files were not read before, or have changed since.

    Args:
        selection: Which rows.
        arrays: As of `read_hashes`; those that a shard lacks are left out.
    """
    memo, parts = DigestMemo(), []
    for shard, rows_S, _ in by_shard(selection):
        wanted = _there(shard, arrays)
        known = {} if shard.stamp is None else memo.recall(shard.stamp, _rows_key(shard, rows_S))
        if not set(wanted) <= set(known):
            return None
        parts.append((len(rows_S), {array: known[array] for array in wanted}))
    return _joined(parts, arrays)


def content_digests(selection: Selection, arrays: Sequence[str] = ARRAYS) -> Digests:
    """The digests of a selection, read where they are not known.

    Args:
        selection: Which rows.
        arrays: As of `read_hashes`; those that a shard lacks are left out.

    Raises:
        RequestError: A shard cannot be read.
    """
    memo, parts = DigestMemo(), []
    for shard, rows_S, _ in by_shard(selection):
        wanted, alone = _there(shard, arrays), Selection([shard], rows_S)
        told = {} if shard.stamp is None else memo.recall(shard.stamp, _rows_key(shard, rows_S))
        hashes = _shard_hashes(shard, rows_S, [array for array in wanted if array not in told])
        if hashes:
            remember_hashes(alone, hashes)
            told = {**told, **_of_shard(hashes, slice(None))}
        parts.append((len(rows_S), {array: told[array] for array in wanted}))
    return _joined(parts, arrays)


def _there(shard: ShardInfo, arrays: Sequence[str]) -> list[str]:
    lacks = {"mask": not shard.has_mask, "noisy": not shard.has_noisy}
    return [array for array in arrays if not lacks.get(array, False)]


def _of_shard(hashes: Mapping[str, np.ndarray], where: slice) -> Digests:
    """Digest of each array over some rows of one shard; that of a mask that marks nothing is empty."""
    rows = {array: hash_N[where] for array, hash_N in hashes.items()}
    return {
        array: "" if array == "mask" and not hash_S.any() else digest_rows(hash_S) for array, hash_S in rows.items()
    }


def _joined(parts: Sequence[tuple[int, Digests]], arrays: Sequence[str]) -> Digests:
    """Of the selected rows of each shard, in the order of the shards."""
    told = {array: [f"{count} {digests.get(array, '')}" for count, digests in parts] for array in arrays}
    marked = [array for array in told if any(digests.get(array) for _, digests in parts)]
    return {array: digest_texts(told[array]) for array in marked}


def _rows_key(shard: ShardInfo, rows_S: np.ndarray) -> str:
    return _WHOLE if len(rows_S) == shard.spectra else digest_rows(rows_S)
