"""Blocks that are read by whoever works on them, into memory of its own: many threads read at once, each what it needs.

What one thread reads for another lies in no cache that is near the other, and the two wait for each other.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np

from spectral_search.tasks.spectra.shards.blocks import Block, RowRange, iter_blocks, read_block, row_ranges
from spectral_search.tasks.spectra.shards.data_root import ShardInfo
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.split import Selection

_NEAR_BYTES = 8 << 20
"""Flux and error of a block: what is read is used while it is in the cache of the core."""


class UnreadBlock:
    """Consecutive spectra of a selection that are yet to be read, by any thread, once.

    Args:
        row_range: Which they are.
        shard: Where they lie.
        hashed: Also hash each row.
    """

    def __init__(self, row_range: RowRange, shard: "_SharedShard", *, hashed: bool) -> None:
        self._range, self._shard, self._hashed = row_range, shard, hashed
        self._heard: list[Callable[[Block], None]] = []

    def __len__(self) -> int:
        return len(self._range)

    @property
    def nbytes(self) -> int:
        """None of the spectra is held."""
        return 0

    def then(self, hear: Callable[[Block], None]) -> "UnreadBlock":
        """Lets somebody look at the spectra when they are read, in the thread that reads them; gives the block back."""
        self._heard.append(hear)
        return self

    def read(self, out: dict[str, np.ndarray]) -> Block:
        """Read it, with its invalid values: only the error is 0 where the mask is bad.

        Args:
            out: Memory for flux and error, float32 of at least as many rows; the block lies in it.

        Raises:
            RequestError: The shard cannot be opened or read.
        """
        with self._shard.open() as shard:
            memory = {name: values_PL[: len(self)] for name, values_PL in out.items()}
            block = read_block(self._range, shard=shard, out=memory, hashed=self._hashed, cleaned=False)
        for hear in self._heard:
            hear(block)
        return block


AnyBlock = Block | UnreadBlock


class _SharedShard:
    """A shard that is opened when the first of its blocks is read, and closed after the last."""

    def __init__(self, info: ShardInfo, reads: int) -> None:
        self._info, self._left, self._lock = info, reads, Lock()
        self._opened: Shard | None = None

    @contextmanager
    def open(self) -> Iterator[Shard]:
        with self._lock:
            if self._opened is None:
                self._opened = self._info.open()
            opened = self._opened
        try:
            yield opened
        finally:
            with self._lock:
                # Counted after a fault too, or the file would stay open.
                self._left -= 1
                if self._left == 0:
                    opened.close()


def iter_unread(selection: Selection, *, hashed: bool = False) -> Iterator[AnyBlock]:
    """A selection without its noise, in order, in blocks to be read; compressed shards are read and cleaned here.

    Of a compressed shard a part of a chunk costs as much as all of it, and HDF5 decompresses for one thread at a time.

    Args:
        selection: What to read.
        hashed: Also hash each row.
    """
    if selection.is_compressed:
        yield from iter_blocks(selection, hashed=hashed)
        return
    ranges = row_ranges(selection, _NEAR_BYTES)
    reads = Counter(row_range.shard.path for row_range in ranges)
    shards = {shard.path: _SharedShard(shard, reads[shard.path]) for shard in selection.shards}
    for row_range in ranges:
        yield UnreadBlock(row_range, shards[row_range.shard.path], hashed=hashed)
