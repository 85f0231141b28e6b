"""Spectra block by block: whole chunks in order, cleaned while they are still in the processor's cache.

Random single rows read from chunks run at a fiftieth of the speed of whole chunks, so a selection is cut into ranges
of whole chunks, and what is not selected is dropped after reading. Memory is bounded by the rows kept.
Shape suffixes: B spectra in a block, P spectra in a piece of a block, L pixels.
"""

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from spectral_search.spec.seeds import numpy_seed
from spectral_search.tasks.spectra.shards.buffers import Buffers
from spectral_search.tasks.spectra.shards.data_root import ShardInfo
from spectral_search.tasks.spectra.shards.invalid_pixels import suspect_pixels
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.unlocked_hash import unlocked_hashes, unlocked_mask_hashes

TARGET_BYTES = 64 << 20
"""Of blocks that other processes read: each costs a task of Ray's."""
_BLOCK_BYTES = 16 << 20
"""Of blocks that are read and used in turns: they take memory that is in the cache and was used before."""
_PIECE_BYTES = 4 << 20
"""What is read at once within a block: enough for full speed, little enough to stay in the cache while cleaned."""
PIECE_ROWS = 256
"""Spectra whose statistics are summed at once in float32: few enough to stay in the cache and to lose no digits. Blocks
are cut between such pieces where they can be, so that the last digits do not depend on the size of blocks."""
_SKIP_BYTES = 256 << 10
"""Unwanted chunks of fewer bytes are read along with their neighbours: another read would cost as much."""
_OPEN_SHARDS = 64
"""One that is not compressed takes 0.9 MB and one file, and the files that it links to."""

Condition = Callable[[np.ndarray, np.ndarray, np.ndarray | None], None]
"""Brings flux, error and noisy of some spectra into the units of training, in place; it keeps error 0 as it is."""


@dataclass(frozen=True)
class Block:
    """Consecutive spectra of a selection.

    Attributes:
        rows_B: Position of each spectrum within its selection (int64), consecutive.
        flux_BL: Noise-free flux, float32, 0 where invalid.
        error_BL: 1-sigma error in the unit of the flux, float32, 0 where invalid and only there.
        noisy_BL: Flux with the noise already added, float32, 0 where invalid; None unless asked for and there.
        hashes: Of each row as it lies in the shard, by array (uint64, B), "mask" among them; None unless asked for.
    """

    rows_B: np.ndarray
    flux_BL: np.ndarray
    error_BL: np.ndarray
    noisy_BL: np.ndarray | None = None
    hashes: dict[str, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.rows_B)

    @property
    def invalid_BL(self) -> np.ndarray:
        """True where the mask is bad, a value is not finite, or the error is not above 0."""
        return self.error_BL == 0

    def then(self, hear: Callable[["Block"], None]) -> Self:
        """Lets somebody look at it, and gives it back."""
        hear(self)
        return self

    @property
    def nbytes(self) -> int:
        """Bytes of the spectra."""
        return self.flux_BL.nbytes + self.error_BL.nbytes + (0 if self.noisy_BL is None else self.noisy_BL.nbytes)


@dataclass(frozen=True)
class RowRange:
    """A part of a selection that is read as one block.

    Attributes:
        shard: Where it lies.
        start: First row read, at a chunk's edge.
        stop: One past the last row read, at a chunk's edge or the shard's end.
        keep_rows: Rows of the shard that are kept, ascending; None keeps all of start to stop.
        first: Position of the first kept row within the selection.
    """

    shard: ShardInfo
    start: int
    stop: int
    keep_rows: np.ndarray | None
    first: int

    def __len__(self) -> int:
        return self.stop - self.start if self.keep_rows is None else len(self.keep_rows)

    @property
    def nbytes(self) -> int:
        """Bytes of flux and error of its block as float32."""
        return 2 * 4 * len(self) * self.shard.pixels


def row_ranges(selection: Selection, target_bytes: int = TARGET_BYTES) -> list[RowRange]:
    """Cuts a selection into ranges of whole chunks, in order.

    Args:
        selection: What to read.
        target_bytes: Upper bound of a block's flux and error as float32; at least one chunk (unless a single chunk
            is larger than the bound: then the bound wins, and the chunk is read in parts).

    Returns:
        Ranges that together hold every selected row once.
    """
    ranges: list[RowRange] = []
    offset, first = 0, 0
    for shard in selection.shards:
        low, high = np.searchsorted(selection.rows_N, (offset, offset + shard.spectra))
        rows = selection.rows_N[low:high] - offset
        ranges += _shard_ranges(shard, rows, first, target_bytes)
        offset += shard.spectra
        first += len(rows)
    return ranges


def _shard_ranges(shard: ShardInfo, rows: np.ndarray, first: int, target_bytes: int) -> list[RowRange]:
    limit = max(1, target_bytes // (2 * 4 * shard.pixels))
    limit = limit // PIECE_ROWS * PIECE_ROWS or limit
    unit = min(shard.chunk_rows, limit)
    ranges, begin = [], 0
    while begin < len(rows):
        # The range ends at the last chunk edge before the row that would exceed the limit.
        end = min(begin + limit, len(rows))
        if end < len(rows):
            # At least one unit is taken (the second bound): with none, this would never end.
            edge = int(rows[end]) // unit * unit
            end = max(int(np.searchsorted(rows, edge)), int(np.searchsorted(rows, (rows[begin] // unit + 1) * unit)))
        start = int(rows[begin]) // unit * unit
        stop = min((int(rows[end - 1]) // unit + 1) * unit, shard.spectra)
        dense = end - begin == stop - start
        ranges.append(RowRange(shard, start, stop, None if dense else rows[begin:end].copy(), first + begin))
        begin = end
    return ranges


def epoch_ranges(ranges: list[RowRange], seed: int, epoch: int) -> list[RowRange]:
    """Puts the ranges into the order of one epoch, a function of (seed, epoch) alone."""
    # Philox by name: default_rng may become another generator, and a run that goes on must read in the same order.
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((numpy_seed(seed), epoch))))
    return [ranges[index] for index in generator.permutation(len(ranges))]


def read_block(
    row_range: RowRange,
    noisy: bool = False,
    *,
    shard: Shard | None = None,
    out: dict[str, np.ndarray] | None = None,
    condition: Condition | None = None,
    hashed: bool = False,
    cleaned: bool = True,
) -> Block:
    """Reads one range.

    Args:
        row_range: What to read.
        noisy: Also read the spectra with the noise already added, if the shard has them.
        shard: The shard if it is already open; opened and closed otherwise.
        out: Memory for flux, error and, if it is read, noisy, each float32 (B, L). Fresh memory costs as much time in
            page faults as the reading itself.
        condition: Applied while the spectra are still in the processor's cache.
        hashed: Also hash each row, of the arrays that are read, before anything is done to it.
        cleaned: Set invalid values to 0. If not, only the error is 0 where the mask is bad, for whoever looks at every
            value anyway.
    """
    if shard is None:
        with row_range.shard.open() as opened:
            return read_block(
                row_range, noisy, shard=opened, out=out, condition=condition, hashed=hashed, cleaned=cleaned
            )
    shape = (len(row_range), row_range.shard.pixels)
    names = array_names(noisy and row_range.shard.has_noisy)
    values = {name: np.empty(shape, np.float32) if out is None else out[name] for name in names}
    hashes = {name: np.zeros(len(row_range), np.uint64) for name in (*names, "mask")} if hashed else None
    done = 0
    for start, stop, keep in pieces(row_range):
        count = stop - start if keep is None else len(keep)
        here = slice(done, done + count)
        piece = {name: array[here] for name, array in values.items()}
        bad_PL = _read_piece(shard, row_range.shard, start, stop, keep, piece)
        if hashes is not None:
            _hash_piece(piece, bad_PL, {name: hash_B[here] for name, hash_B in hashes.items()})
        if cleaned:
            _clean(piece, bad_PL)
        elif bad_PL is not None and bad_PL.any():
            piece["error"][bad_PL] = 0.0
        if condition is not None:
            condition(piece["flux"], piece["error"], piece.get("noisy"))
        done += count
    rows_B = np.arange(row_range.first, row_range.first + len(row_range), dtype=np.int64)
    return Block(rows_B, values["flux"], values["error"], values.get("noisy"), hashes)


def array_names(noisy: bool) -> list[str]:
    """Names of the arrays of a block."""
    return ["flux", "error", "noisy"] if noisy else ["flux", "error"]


def pieces(row_range: RowRange) -> Iterator[tuple[int, int, np.ndarray | None]]:
    """Cuts a range into runs of wanted chunks (start, stop, kept rows relative to start, or None for all).

    Of a shard that is not compressed a part of a chunk is read as cheaply: there it is runs of wanted rows.
    """
    unit = row_range.shard.chunk_rows if row_range.shard.is_compressed or row_range.keep_rows is None else 1
    row_bytes = 4 * row_range.shard.pixels
    step = max(1, _PIECE_BYTES // row_bytes // unit) * unit
    if row_range.keep_rows is None:
        for start in range(row_range.start, row_range.stop, step):
            yield start, min(start + step, row_range.stop), None
        return
    rows, begin = row_range.keep_rows, 0
    while begin < len(rows):
        start = max(row_range.start, int(rows[begin]) // unit * unit)
        end = int(np.searchsorted(rows, start + step))
        # A run ends where what holds no kept row is worth skipping.
        skipped_bytes = (np.diff(rows[begin:end] // unit) - 1) * unit * row_bytes
        if len(gaps := np.flatnonzero(skipped_bytes >= _SKIP_BYTES)):
            end = begin + int(gaps[0]) + 1
        stop = min((int(rows[end - 1]) // unit + 1) * unit, row_range.stop)
        keep = rows[begin:end] - start
        yield start, stop, None if len(keep) == stop - start else keep
        begin = end


def _read_piece(
    shard: Shard, info: ShardInfo, start: int, stop: int, keep: np.ndarray | None, out: dict[str, np.ndarray]
) -> np.ndarray | None:
    """Reads rows start to stop and keeps some, as they are; gives their mask, if there is one."""
    bad_PL = shard.read(start, stop, ("mask",))["mask"] if info.has_mask else None
    if keep is None:
        shard.read(start, stop, tuple(out), out=out)
    else:
        read = shard.read(start, stop, tuple(out))
        for name, array in out.items():
            np.take(read[name], keep, axis=0, out=array)
        bad_PL = None if bad_PL is None else bad_PL[keep]
    return bad_PL


def _hash_piece(values: dict[str, np.ndarray], bad_PL: np.ndarray | None, out: dict[str, np.ndarray]) -> None:
    """Fills the hashes of a piece while it is in the processor's cache (docs/log.md: what it costs)."""
    for name, array in values.items():
        out[name][:] = unlocked_hashes(array)
    if bad_PL is not None:
        out["mask"][:] = unlocked_mask_hashes(bad_PL)


def _clean(values: dict[str, np.ndarray], bad_PL: np.ndarray | None) -> None:
    """Sets every array to 0 where any value is invalid.

    Invalid values mostly fill whole pixels (the edges), so only pixels that have one are looked at value by value.
    """
    suspect_L = suspect_pixels(values)
    if bad_PL is not None:
        suspect_L |= bad_PL.any(axis=0)
    (pixels_K,) = np.nonzero(suspect_L)
    if not len(pixels_K):
        return
    where = np.s_[:, pixels_K] if len(pixels_K) * 8 < len(suspect_L) else np.s_[:, :]
    part = {name: array[where] for name, array in values.items()}
    # No comparison holds for NaN, so that it is invalid by this too.
    valid_PK = part["error"] > 0
    for array in part.values():
        valid_PK &= np.isfinite(array)
    if bad_PL is not None:
        valid_PK &= ~bad_PL[where]
    for name, array in values.items():
        array[where] = np.where(valid_PK, part[name], np.float32(0))


class _OpenShards:
    """The shards used last, open: to open one takes as long as to read a block of it."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, Shard] = OrderedDict()

    def get(self, info: ShardInfo) -> Shard:
        """A shard; others are closed for it, all of them if it is compressed: it keeps a row of chunks in memory."""
        shard = self._open.pop(info.path, None)
        if shard is None:
            self._close_but(0 if info.is_compressed else _OPEN_SHARDS - 1)
            shard = info.open()
        self._open[info.path] = shard
        return shard

    def close(self) -> None:
        """Close all of them."""
        self._close_but(0)

    def _close_but(self, last: int) -> None:
        while len(self._open) > last:
            self._open.popitem(last=False)[1].close()


def read_ranges(
    ranges: Iterable[RowRange],
    noisy: bool = False,
    condition: Condition | None = None,
    buffers: Buffers | None = None,
    *,
    hashed: bool = False,
) -> Generator[Block]:
    """Reads ranges in the order given.

    Args:
        ranges: What to read.
        noisy: Also the spectra with the noise already added, where the shard has them.
        condition: Applied to the spectra as they are read.
        buffers: Memory for the blocks; fresh memory otherwise.
        hashed: Also hash each row.
    """
    with closing(_OpenShards()) as shards:
        for row_range in ranges:
            shard, out = shards.get(row_range.shard), None
            if buffers is not None:
                names = array_names(noisy and row_range.shard.has_noisy)
                out = {name: buffers.lend(len(row_range)) for name in names}
            yield read_block(row_range, noisy, shard=shard, out=out, condition=condition, hashed=hashed)


def iter_blocks(
    selection: Selection,
    noisy: bool = False,
    target_bytes: int = _BLOCK_BYTES,
    condition: Condition | None = None,
    *,
    hashed: bool = False,
) -> Iterator[Block]:
    """Reads a selection in order with plain h5py, in this process.

    Args:
        selection: What to read.
        noisy: Also the spectra with the noise already added, where every shard has them; None in the blocks otherwise.
        target_bytes: Upper bound of a block's flux and error as float32.
        condition: Applied to the spectra as they are read.
        hashed: Also hash each row.
    """
    yield from read_ranges(row_ranges(selection, target_bytes), noisy and selection.has_noisy, condition, hashed=hashed)
