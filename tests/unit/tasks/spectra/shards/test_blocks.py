import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from shard_variants import VARIANTS, make_sample, write_variant
from small_shards import PIXELS, flux_of, make_shard

from spectral_search.tasks.spectra.shards import blocks as blocks_module
from spectral_search.tasks.spectra.shards.blocks import (
    RowRange,
    epoch_ranges,
    iter_blocks,
    read_block,
    read_ranges,
    row_ranges,
)
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.split import Selection

ROW_BYTES = 2 * 4 * PIXELS


@pytest.fixture
def train(tmp_path: Path) -> Selection:
    """Shards of 50 and 37 spectra in chunks of 8."""
    make_shard(tmp_path / "train_0/dataset.h5", 50)
    make_shard(tmp_path / "train_1/dataset.h5", 37, shift=100.0)
    return Selection.all_of(DataRoot.find(tmp_path).train)


def flux_of_selection(selection: Selection) -> np.ndarray:
    rows = selection.rows_N
    return np.where((rows < 50)[:, None], flux_of(rows), flux_of(rows - 50, shift=100.0))


def test_ranges_are_whole_chunks_in_order(train: Selection) -> None:
    ranges = row_ranges(train, target_bytes=20 * ROW_BYTES)
    assert [(r.shard.name[6], r.start, r.stop) for r in ranges] == [
        ("0", 0, 16),
        ("0", 16, 32),
        ("0", 32, 50),  # the rest of a shard is no chunk of its own
        ("1", 0, 16),
        ("1", 16, 32),
        ("1", 32, 37),
    ]
    assert all(r.keep_rows is None for r in ranges)


def test_blocks_are_cut_between_the_pieces_of_statistics(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 800)
    selection = Selection.all_of(DataRoot.find(tmp_path).train)
    for rows, starts in ((300, [0, 256, 512, 768]), (600, [0, 512]), (255, [0, 248, 496, 744])):
        assert [r.start for r in row_ranges(selection, target_bytes=rows * ROW_BYTES)] == starts


@pytest.mark.parametrize("size", [1, 3, 20, 80, 87])
@pytest.mark.parametrize("target_rows", [1, 5, 8, 20, 1000])
def test_every_selected_spectrum_comes_once_in_order(train: Selection, size: int, target_rows: int) -> None:
    rows = np.sort(np.random.default_rng(size).choice(87, size, replace=False))
    part = Selection(train.shards, rows)
    blocks = list(iter_blocks(part, target_bytes=target_rows * ROW_BYTES))
    assert np.array_equal(np.concatenate([b.rows_B for b in blocks]), np.arange(size))
    expected = flux_of_selection(part)
    expected[:, [0, -1]] = 0.0
    np.testing.assert_array_equal(np.concatenate([b.flux_BL for b in blocks]), expected)
    assert max(len(b) for b in blocks) <= max(target_rows, 1)


@pytest.mark.parametrize(
    ("compression", "expected"),
    [("gzip", [(0, 8), (3000, 3008), (3992, 4000)]), (None, [(3, 6), (3000, 3001), (3999, 4000)])],
)
def test_chunks_without_a_selected_row_are_not_read(
    tmp_path: Path, compression: str | None, expected: list[tuple[int, int]]
) -> None:
    """Nor what a chunk holds beside them, where it need not be decompressed."""
    reads: list[tuple[int, int]] = []

    class Watched(Shard):
        def read(self, start: int, stop: int, *args: Any, **named: Any) -> dict[str, np.ndarray]:
            reads.append((start, stop))
            return super().read(start, stop, *args, **named)

    make_shard(tmp_path / "train_0/dataset.h5", 4000, pixels=512, compression=compression)
    shards = DataRoot.find(tmp_path).train
    rows = np.array([3, 5, 3000, 3999])
    (row_range,) = row_ranges(Selection(shards, rows))
    with Watched.open(shards[0].path) as shard:
        block = read_block(row_range, shard=shard)
    assert reads == expected
    np.testing.assert_array_equal(block.flux_BL[:, 1:-1], flux_of(rows, 512)[:, 1:-1])


def test_invalid_values_are_zero_and_marked(tmp_path: Path) -> None:
    mask_BL = np.zeros((8, PIXELS), dtype=np.int64)
    mask_BL[2, 5] = 4
    path = make_shard(tmp_path / "train_0/dataset.h5", 8, mask_BL=mask_BL, with_noisy=True)
    with h5py.File(path, "r+") as file:
        arrays = file["dataset/arrays"]
        arrays["flux/value"][0, 3] = np.nan
        arrays["error/value"][1, 4] = 0.0
        arrays["error/value"][3, 6] = -1.0
        arrays["error/value"][4, 7] = np.inf
        arrays["noisy/value"][5, 8] = np.inf
    selection = Selection.all_of(DataRoot.find(tmp_path).train)
    expected = np.zeros((8, PIXELS), dtype=bool)
    expected[:, [0, -1]] = True
    expected[[0, 1, 2, 3, 4], [3, 4, 5, 6, 7]] = True
    (block,) = iter_blocks(selection)
    np.testing.assert_array_equal(block.invalid_BL, expected)
    np.testing.assert_array_equal(block.error_BL == 0, expected)
    assert np.isfinite(block.flux_BL).all()
    assert (block.flux_BL[expected] == 0).all()
    assert block.noisy_BL is None
    (noisy,) = iter_blocks(selection, noisy=True)
    expected[5, 8] = True
    np.testing.assert_array_equal(noisy.invalid_BL, expected)
    np.testing.assert_array_equal(noisy.noisy_BL[~expected], noisy.flux_BL[~expected] + np.float32(0.25))


def test_a_spectrum_full_of_invalid_values(tmp_path: Path) -> None:
    """Many bad pixels take another way through the cleaning than a few do."""
    mask_BL = np.zeros((9, PIXELS), dtype=np.int64)
    mask_BL[4] = 1
    make_shard(tmp_path / "train_0/dataset.h5", 9, mask_BL=mask_BL, nan_edges=False)
    (block,) = iter_blocks(Selection.all_of(DataRoot.find(tmp_path).train))
    np.testing.assert_array_equal(block.invalid_BL, mask_BL == 1)
    assert (block.error_BL[4] == 0).all()
    assert (block.flux_BL[4] == 0).all()
    assert (block.flux_BL[3] > 0).all()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which shards were opened, and, with a minus, closed."""
    events: list[str] = []
    real_open, real_close = Shard.open, Shard.close

    def open_shard(path: Path, **options: bool) -> Shard:
        events.append(Path(path).parent.name)
        return real_open(path, **options)

    def close(shard: Shard) -> None:
        events.append(f"-{shard.path.parent.name}")
        real_close(shard)

    monkeypatch.setattr(blocks_module.Shard, "open", open_shard)
    monkeypatch.setattr(blocks_module.Shard, "close", close)
    return events


def mixed_ranges(folder: Path, **storage: object) -> list[RowRange]:
    """One range of a, b, c, a, b, c."""
    for number, name in enumerate("abc"):
        make_shard(folder / f"train_{name}/dataset.h5", 16, seed=number, shift=100.0 * number, **storage)
    ranges = row_ranges(Selection.all_of(DataRoot.find(folder).train), target_bytes=8 * ROW_BYTES)
    return ranges[::2] + ranges[1::2]


def test_shards_stay_open_until_the_end(tmp_path: Path, opened: list[str]) -> None:
    ranges = mixed_ranges(tmp_path)
    opened.clear()
    values = [float(block.flux_BL[0, 1]) for block in read_ranges(ranges)]
    assert values == [
        float(flux_of(np.array([r.start]), shift=100.0 * i)[0, 1]) for r, i in zip(ranges, [0, 1, 2] * 2, strict=True)
    ]
    assert opened == ["train_a", "train_b", "train_c", "-train_a", "-train_b", "-train_c"]


def test_no_more_shards_are_open_than_a_few(tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "_OPEN_SHARDS", 2)
    ranges = mixed_ranges(tmp_path)
    opened.clear()
    assert sum(len(block) for block in read_ranges([*ranges[:2], ranges[0], ranges[2]])) == 32
    assert opened == ["train_a", "train_b", "-train_b", "train_c", "-train_a", "-train_c"]


def test_a_compressed_shard_is_open_alone(tmp_path: Path, opened: list[str]) -> None:
    ranges = mixed_ranges(tmp_path, compression="gzip")
    opened.clear()
    assert sum(len(block) for block in read_ranges(ranges[:3])) == 24
    assert opened == ["train_a", "-train_a", "train_b", "-train_b", "train_c", "-train_c"]


def test_noisy_is_none_unless_every_shard_has_it(tmp_path: Path) -> None:
    make_shard(tmp_path / "test_0/dataset.h5", 8, with_noisy=True)
    make_shard(tmp_path / "test_1/dataset.h5", 8)
    selection = Selection.all_of(DataRoot.find(tmp_path, need_train=False).test)
    assert [block.noisy_BL for block in iter_blocks(selection, noisy=True)] == [None, None]


@pytest.mark.parametrize("name", VARIANTS)
def test_sparse_selections_of_every_variant_agree_with_the_whole(tmp_path: Path, name: str) -> None:
    sample = make_sample()
    path = tmp_path / "train_0/dataset.h5"
    path.parent.mkdir()
    write_variant(path, sample, VARIANTS[name])
    root = DataRoot.find(tmp_path)
    rows = np.array([1, 2, len(sample.flux_NL) - 1])
    (block,) = iter_blocks(Selection(root.train, rows))
    good = ~block.invalid_BL
    np.testing.assert_array_equal(block.flux_BL[good], sample.flux_NL[rows][good])
    np.testing.assert_array_equal(block.error_BL[good], sample.error_NL[rows][good])
    assert good.any()


def test_epoch_order_follows_from_seed_and_epoch(train: Selection) -> None:
    ranges = row_ranges(train, target_bytes=8 * ROW_BYTES)

    def starts(seed: int, epoch: int) -> list[tuple[str, int]]:
        return [(r.shard.name, r.start) for r in epoch_ranges(ranges, seed, epoch)]

    assert starts(1, 2) == starts(1, 2)
    assert starts(1, 2) != starts(1, 3)
    assert starts(1, 2) != starts(2, 2)
    assert sorted(starts(1, 2)) == sorted((r.shard.name, r.start) for r in ranges)
    assert starts(-1, 0) == starts(-1, 0)


def test_ranges_are_read_in_the_order_given(train: Selection) -> None:
    ranges = epoch_ranges(row_ranges(train, target_bytes=8 * ROW_BYTES), seed=0, epoch=1)
    firsts = [int(block.rows_B[0]) for block in read_ranges(ranges)]
    assert firsts == [r.first for r in ranges]
    assert firsts != sorted(firsts)


def test_a_block_can_be_read_into_given_memory(train: Selection) -> None:
    row_range = row_ranges(train, target_bytes=16 * ROW_BYTES)[1]
    out = {name: np.full((16, PIXELS), np.nan, np.float32) for name in ("flux", "error")}
    block, expected = read_block(row_range, out=out), read_block(row_range)
    assert block.flux_BL is out["flux"]
    np.testing.assert_array_equal(out["flux"], expected.flux_BL)
    np.testing.assert_array_equal(out["error"], expected.error_BL)


def test_reading_takes_the_memory_of_a_block_not_of_the_shard(tmp_path: Path) -> None:
    make_shard(tmp_path / "train_0/dataset.h5", 4096, pixels=1024, dtype=np.float32)
    selection = Selection.all_of(DataRoot.find(tmp_path).train)  # 32 MiB of flux and error
    tracemalloc.start()
    count = sum(len(block) for block in iter_blocks(selection, target_bytes=2 << 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 4096
    assert peak < 12 << 20


def test_length_and_bytes_of_a_range(train: Selection) -> None:
    shard = train.shards[0]
    assert len(RowRange(shard, 8, 24, None, 0)) == 16
    assert RowRange(shard, 8, 24, np.array([9, 11]), 0).nbytes == 2 * ROW_BYTES
