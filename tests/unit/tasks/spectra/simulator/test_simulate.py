"""Simulated shards: the real layout, reproducible to the bit, and as noisy as the real ones."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from full_disks import file_limit

from spectral_search.errors import RequestError, RunError
from spectral_search.tasks.spectra.shards.shard_writer import SPARE_BYTES
from spectral_search.tasks.spectra.simulator.simulate import (
    BLOCK_ROWS,
    HIDDEN,
    LABEL_RANGES,
    Simulator,
    simulate,
    size_label,
)

PIXELS = 64
ARRAYS = "dataset/arrays/{}/value"


def read(path: Path, name: str) -> np.ndarray:
    with h5py.File(path) as file:
        return np.asarray(file[ARRAYS.format(name)])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "root"
    simulate(folder, train=600, val=20, test=1000, shards=2, pixels=PIXELS, seed=7)
    return folder


def test_folders_are_named_as_real_ones(root: Path) -> None:
    assert sorted(path.name for path in root.iterdir()) == ["test_1k_0", "train_300_0", "train_300_1", "val_20_0"]
    assert [size_label(n) for n in (1000, 200_000, 1_000_000, 1500, 8)] == ["1k", "200k", "1m", "1500", "8"]


def test_layout_is_that_of_the_real_writer(root: Path) -> None:
    with h5py.File(root / "test_1k_0/dataset.h5") as file:
        assert set(file) == {"dataset", "spectrumdataset"}
        assert set(file["dataset/arrays"]) == {"flux", "error", "noisy", "mask"}
        for name, dtype in (("flux", "f8"), ("error", "f8"), ("noisy", "f8"), ("mask", "i8")):
            stored = file[ARRAYS.format(name)]
            assert stored.shape == (1000, PIXELS) and stored.dtype == dtype and stored.chunks is not None
        assert file["spectrumdataset/wave"].shape == (PIXELS,)
        assert file["spectrumdataset/wave_edges"].shape in {(PIXELS + 1,), (2, PIXELS)}
        assert file["spectrumdataset/wave_edges"][0] == pytest.approx(7100.0)
        assert "values_block_0" in file["dataset/params/table"].dtype.names
        assert "simulated" in file.attrs["simulated"]
    assert not read(root / "test_1k_0/dataset.h5", "mask").any()
    with h5py.File(root / "train_300_0/dataset.h5") as file:
        assert set(file["dataset/arrays"]) == {"flux", "error", "mask"}


def test_labels_are_a_pandas_table(root: Path) -> None:
    tables = [pd.read_hdf(root / f"train_300_{i}/dataset.h5", "dataset/params") for i in range(2)]
    params = pd.concat(tables)
    assert list(params["id"]) == list(range(600))
    assert {"id", "T_eff", "log_g", "M_H", "a_M", "C_M", "mag", "snr", "redshift"} < set(params.columns)
    assert (params["source"] == "simulated").all()
    for name, (low, high) in LABEL_RANGES.items():
        assert params[name].between(low, high).all() and params[name].std() > 0.2 * (high - low)


def test_snr_label_is_the_median_over_pixels(root: Path) -> None:
    path = root / "val_20_0/dataset.h5"
    snr_N = np.nanmedian(read(path, "flux") / read(path, "error"), axis=1)
    assert pd.read_hdf(path, "dataset/params")["snr"].to_numpy() == pytest.approx(snr_N, rel=0.05)


def test_error_is_nan_at_both_ends_only(root: Path) -> None:
    bad_NL = np.isnan(read(root / "train_300_0/dataset.h5", "error"))
    assert bad_NL[:, [0, -1]].all() and not bad_NL[:, 1:-1].any()
    assert np.isfinite(read(root / "test_1k_0/dataset.h5", "noisy")).all()


def test_noise_is_standard_normal_and_clipped_at_zero(root: Path) -> None:
    path = root / "test_1k_0/dataset.h5"
    flux_NL, error_NL, noisy_NL = (read(path, name)[:, 1:-1] for name in ("flux", "error", "noisy"))
    assert noisy_NL.min() >= 0.0
    drawn_NL = (noisy_NL - flux_NL) / error_NL
    drawn_K = drawn_NL[flux_NL > 6 * error_NL]  # where clipping cannot reach
    assert abs(drawn_K.mean()) < 5 / np.sqrt(drawn_K.size) and abs(drawn_K.std() - 1) < 5 / np.sqrt(drawn_K.size)
    assert np.mean(np.abs(drawn_K) > 1.96) == pytest.approx(0.05, abs=0.006)


def test_clipping_happens_where_the_signal_is_lost() -> None:
    block = Simulator(pixels=4096, seed=1).block("val", 0, noisy=True)
    assert block.noisy_BL is not None and (block.noisy_BL == 0).any() and (block.noisy_BL >= 0).all()


def test_same_seed_same_spectra_whatever_the_sizes(root: Path, tmp_path: Path) -> None:
    simulate(tmp_path, train=10, val=300, test=0, pixels=PIXELS, seed=7)
    small, big = tmp_path / "train_10_0/dataset.h5", root / "train_300_0/dataset.h5"
    for name in ("flux", "error"):
        assert np.array_equal(read(small, name), read(big, name)[:10], equal_nan=True)
    val_small, val_big = root / "val_20_0/dataset.h5", tmp_path / "val_300_0/dataset.h5"
    assert np.array_equal(read(val_small, "noisy"), read(val_big, "noisy")[:20])
    assert not (tmp_path / "test_0_0").exists()


def test_shards_cut_one_sequence(root: Path, tmp_path: Path) -> None:
    simulate(tmp_path, train=600, val=0, test=0, shards=3, pixels=PIXELS, seed=7)
    two, three = (
        np.concatenate([read(path, "flux") for path in sorted(folder.glob("train*/dataset.h5"))])
        for folder in (root, tmp_path)
    )
    assert np.array_equal(two, three)


def test_seeds_and_splits_differ() -> None:
    one, other = Simulator(pixels=PIXELS, seed=1), Simulator(pixels=PIXELS, seed=2)
    first = one.block("train", 0, noisy=False).labels["log_g"]
    assert not np.intersect1d(first, one.block("val", 0, noisy=False).labels["log_g"]).size
    assert not np.intersect1d(first, one.block("train", BLOCK_ROWS, noisy=False).labels["log_g"]).size
    assert not np.intersect1d(first, other.block("train", 0, noisy=False).labels["log_g"]).size
    with pytest.raises(ValueError, match="multiple"):
        one.block("train", 1, noisy=False)


def test_snr_percentiles_are_those_of_the_real_data() -> None:
    simulator = Simulator(pixels=1024, seed=42)
    width = 4096 / 1024  # a wider pixel collects more photons: S/N grows with its root
    snr_N = np.concatenate([simulator.block("train", i * BLOCK_ROWS, noisy=False).labels["snr"] for i in range(16)])
    percentiles = np.percentile(snr_N / np.sqrt(width), (0, 25, 50, 75, 100))
    assert percentiles == pytest.approx([2.8, 5.3, 8.2, 12.5, 28.0], rel=0.2)


def test_dtype_and_progress(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    simulate(tmp_path, train=300, val=5, test=5, pixels=32, dtype="float32", progress=lambda a, b: calls.append((a, b)))
    assert read(tmp_path / "train_300_0/dataset.h5", "flux").dtype == np.float32
    assert calls == [(256, 310), (300, 310), (305, 310), (310, 310)]


def test_refuses_what_is_there_already(root: Path) -> None:
    with pytest.raises(RequestError, match="already holds a data set"):
        simulate(root, train=10, val=0, test=0, pixels=PIXELS)


def test_an_interrupted_call_leaves_nothing_and_the_next_starts_over(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > BLOCK_ROWS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "a", train=10, val=300, test=0, pixels=PIXELS, progress=interrupt)
    assert list((tmp_path / "a").iterdir()) == []
    # What a process that was killed leaves behind.
    (tmp_path / f"a/{HIDDEN}/train_10_0").mkdir(parents=True)
    (tmp_path / f"a/{HIDDEN}/train_10_0/dataset.h5").write_bytes(b"half")
    simulate(tmp_path / "a", train=10, val=4, test=0, pixels=PIXELS)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["train_10_0", "val_4_0"]


def test_refuses_impossible_sizes_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        simulate(tmp_path / "new", train=0, val=-1, test=0, shards=0, pixels=1, seed=-1, dtype="int8")
    assert len(caught.value.faults) == 6
    assert not (tmp_path / "new").exists()
    with pytest.raises(RequestError, match="shards is 11"):
        simulate(tmp_path / "new", train=10, val=0, test=0, shards=11)


def test_a_full_disk_is_told_before_spectra_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Simulator, *arguments: object, **options: object) -> None:
        raise AssertionError("a spectrum was made")

    monkeypatch.setattr(Simulator, "block", nothing)
    with pytest.raises(RequestError, match=r"spectra take .* GB and .* free"):
        simulate(tmp_path / "new", train=10**12, val=0, test=0)
    assert list(tmp_path.iterdir()) == []
    for most in (64 << 10, (1 << 20) + 100_000):  # no room at all, or for the first part alone
        with file_limit(most), pytest.raises(RunError, match="free some space"):
            simulate(tmp_path, train=256, val=0, test=0, pixels=PIXELS)
        assert list(tmp_path.iterdir()) == []


def test_labels_for_which_there_is_no_room_leave_nothing(tmp_path: Path) -> None:
    """The spectra fit, and their labels do not."""
    values = 256 * PIXELS * (8 + 8 + 8)
    with file_limit(values + SPARE_BYTES + 4096), pytest.raises(RunError, match="free some space"):
        simulate(tmp_path, train=256, val=0, test=0, pixels=PIXELS)
    assert list(tmp_path.iterdir()) == []


def test_room_that_was_taken_and_not_used_is_given_back(root: Path) -> None:
    values = 300 * PIXELS * (8 + 8 + 8)
    assert (root / "train_300_0" / "dataset.h5").stat().st_size < values + SPARE_BYTES // 4


def test_refuses_a_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RequestError):
            simulate(place, train=10, val=0, test=0, pixels=PIXELS)
