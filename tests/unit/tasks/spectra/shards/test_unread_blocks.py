"""Blocks that are read by whoever works on them are those of a reader that goes ahead."""

from pathlib import Path

import numpy as np
import pytest
from small_shards import PIXELS, make_shard

from spectral_search.errors import RequestError
from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.shards import unread_blocks
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import Gathering
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.unread_blocks import AnyBlock, UnreadBlock, iter_unread


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Selection:
    """Two of three spectra, in blocks of 20."""
    monkeypatch.setattr(unread_blocks, "_NEAR_BYTES", 20 * 8 * PIXELS)
    make_shard(tmp_path / "train_0/dataset.h5", 50, mask_BL=np.eye(50, PIXELS, dtype=np.int64))
    make_shard(tmp_path / "train_1/dataset.h5", 37, shift=100.0)
    shards = DataRoot.find(tmp_path).train
    return Selection(shards, np.flatnonzero(np.arange(87) % 3))


def memory() -> dict[str, np.ndarray]:
    return {name: np.empty((20, PIXELS), np.float32) for name in ("flux", "error")}


def test_threads_read_what_a_reader_would(train: Selection) -> None:
    (expected,) = iter_blocks(Selection(train.shards[:1], train.rows_N[train.rows_N < 50]), hashed=True)
    found: list[Block] = []
    ours, theirs = Gathering(train), Gathering(train)
    for_each(lambda block: found.append(block.read(memory())), ours.watch(iter_unread(train, hashed=True)))
    assert max(map(len, found)) <= 20 and len(found) > 3
    found.sort(key=lambda block: int(block.rows_B[0]))
    flux_NL, error_NL = (np.concatenate([getattr(b, name) for b in found]) for name in ("flux_BL", "error_BL"))
    flux_NL, error_NL = flux_NL[: len(expected)], error_NL[: len(expected)]
    valid_NL = error_NL > 0  # they are not cleaned, but the mask is in the error
    np.testing.assert_array_equal(valid_NL, ~expected.invalid_BL)
    np.testing.assert_array_equal(flux_NL[valid_NL], expected.flux_BL[valid_NL])
    np.testing.assert_array_equal(error_NL[valid_NL], expected.error_BL[valid_NL])
    assert np.isnan(error_NL).any() and (~valid_NL).sum() > 2 * len(expected)
    for _ in theirs.watch(iter_blocks(train, hashed=True)):
        pass
    for array, hash_N in theirs.whole().items():
        np.testing.assert_array_equal(ours.whole()[array], hash_N)


def test_a_shard_is_open_while_blocks_of_it_are_read(train: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    opened, closed = Shard.open.__func__, Shard.close  # type: ignore[attr-defined]

    def opening(cls: type[Shard], path: Path, **options: bool) -> Shard:
        told.append(("open", path.parent.name))
        shard: Shard = opened(cls, path, **options)
        return shard

    def closing(shard: Shard) -> None:
        told.append(("close", shard.path.parent.name))
        closed(shard)

    monkeypatch.setattr(Shard, "open", classmethod(opening))
    monkeypatch.setattr(Shard, "close", closing)
    blocks: list[AnyBlock] = list(iter_unread(train))
    assert not told
    for block in reversed(blocks):
        assert isinstance(block, UnreadBlock)
        block.read(memory())
    assert told == [(what, name) for name in ("train_1", "train_0") for what in ("open", "close")]


def test_a_shard_that_is_gone_is_named(train: Selection) -> None:
    blocks = list(iter_unread(train))
    train.shards[0].path.unlink()
    assert isinstance(blocks[0], UnreadBlock)
    with pytest.raises(RequestError, match="train_0"):
        blocks[0].read(memory())


def test_what_must_be_decompressed_is_read_ahead(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 40, compression="gzip")
    (block,) = iter_unread(Selection.all_of(DataRoot.find(tmp_path).train))
    assert isinstance(block, Block)
