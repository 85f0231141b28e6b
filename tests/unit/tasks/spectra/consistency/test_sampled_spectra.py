"""A look into a shard costs a bounded number of rows, spread over it, and gives what numpy gives on all of them."""

from pathlib import Path

import numpy as np
import pytest
from shard_variants import VARIANTS, Variant, make_sample, write_variant
from small_shards import make_shard

from spectral_search.tasks.spectra.consistency import sampled_spectra as sampled
from spectral_search.tasks.spectra.shards.data_root import DataRoot, ShardInfo
from spectral_search.tasks.spectra.shards.shard import Shard


def info_of(path: Path) -> ShardInfo:
    return DataRoot.find(path, need_labels=False).train[0]


@pytest.mark.parametrize(
    "variant", ["float32", "gzip", "no_mask", "no_noisy", "big_float64", "bool_mask", "contiguous_float64"]
)
def test_levels_are_medians_over_valid_pixels(tmp_path: Path, variant: str) -> None:
    data = make_sample()
    path = write_variant(tmp_path / "train_0" / "dataset.h5", data, VARIANTS.get(variant, Variant()))
    found = sampled.sample_shard(info_of(path))
    good_NL = np.isfinite(data.error_NL)
    if variant != "no_mask":
        good_NL &= ~data.invalid_NL
    row = 5
    flux_L, error_L = data.flux_NL[row][good_NL[row]], data.error_NL[row][good_NL[row]]
    assert found.rows_K.tolist() == list(range(37))
    assert found.flux_K[row] == pytest.approx(np.median(np.abs(flux_L)), rel=0.1)
    assert found.error_K[row] == pytest.approx(np.median(error_L), rel=0.1)
    assert found.snr_K[row] == pytest.approx(np.median(flux_L / error_L), rel=0.15)
    assert found.contrast_K[row] > 0
    assert (found.noise is None) == (variant == "no_noisy")
    assert found.labels["log_g"].tolist() == data.labels["log_g"].tolist() and "mag" not in found.labels


@pytest.mark.parametrize(("chunk_rows", "compression"), [(8, None), (300, None), (8, "gzip"), (1000, "gzip")])
def test_no_more_rows_are_read_than_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_rows: int, compression: str | None
) -> None:
    path = make_shard(tmp_path / "train_0" / "dataset.h5", 1000, chunk_rows=chunk_rows, compression=compression)
    read: list[tuple[int, int]] = []
    real = Shard.read

    def watched(self: Shard, start: int, stop: int, *rest: object) -> dict[str, np.ndarray]:
        read.append((start, stop))
        return real(self, start, stop, *rest)

    monkeypatch.setattr(Shard, "read", watched)
    found = sampled.sample_shard(info_of(path), 128)
    assert sum(stop - start for start, stop in read) == len(found.rows_K)
    assert 96 <= len(found.rows_K) <= 128  # the last run of a shard may be short
    if chunk_rows < 1000 or compression is None:
        assert found.rows_K[-1] > 900 and found.rows_K[0] == 0


def test_many_shards_share_what_may_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "ALL_SPECTRA", 60)
    for number in range(3):
        make_shard(tmp_path / f"train_{number}" / "dataset.h5", 200)
    assert [len(sample.rows_K) for sample in sampled.sample_shards(DataRoot.find(tmp_path).train)] == [20, 20, 20]


def test_wide_spectra_are_looked_at_here_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled, "PIXELS", 20)
    path = make_shard(tmp_path / "train_0" / "dataset.h5", 16, pixels=100)
    found = sampled.sample_shard(info_of(path))
    assert found.flux_K.tolist() == pytest.approx((1.0 + np.arange(16) + 50 / 1024).tolist(), rel=1e-2)


def test_a_shard_without_a_valid_pixel_has_no_level(tmp_path: Path) -> None:
    path = make_shard(tmp_path / "train_0" / "dataset.h5", 8, mask_BL=np.ones((8, 24), np.int64))
    assert np.isnan(sampled.sample_shard(info_of(path)).flux_K).all()
