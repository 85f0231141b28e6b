"""Shards that cannot be one data set are told from those that can, whatever part they are in."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from changed_root import Arrays, Change, another, arrays_of, changed, labels, noise, times, write_good_root

from spectral_search.tasks.spectra.consistency.mismatch import Mismatches
from spectral_search.tasks.spectra.consistency.parts_consistency import find_mismatches
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.simulator.simulate import simulate

CGS = 1e-17
COUNTS = 1000.0 / 1e-17


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_good_root(tmp_path_factory.mktemp("parts") / "good")


def found_in(root: Path, noise_level: float = 1.0) -> Mismatches:
    return find_mismatches(DataRoot.find(root), noise_level)


def as_counts(arrays: Arrays) -> None:
    arrays["flux"] = np.rint(arrays["flux"] * COUNTS).astype(np.int16)


def without_noise(arrays: Arrays) -> None:
    arrays["noisy"] = arrays["flux"]


def some_of(values: pd.Series, value: float) -> np.ndarray:
    return np.where(np.arange(len(values)) % 10 == 0, value, values)


REFUSED: dict[str, tuple[list[Change], list[str]]] = {
    "val in another unit": ([times("val_0", CGS)], ["flux of val_0", "train_0", "1e17", "another unit"]),
    "test in another unit": ([times("test_0", CGS)], ["flux of test_0", "train_0", "1e17", "another unit"]),
    "train in another unit": ([times("train_0", CGS)], ["val_0", "that of train_0", "likewise test_0"]),
    "a factor of 4": ([times("val_0", 4.0)], ["flux of val_0", "a factor of 4", "at about the same S/N"]),
    "counts": ([arrays_of("train_0", as_counts)], ["val_0", "train_0", "another unit than its error"]),
    "the error in another unit": ([times("test_0", 1e3, "error", "noisy")], ["error of test_0", "about 1e3"]),
    "one of three train shards": (
        [another("train_0", "train_1"), another("train_0", "train_2"), times("train_1", CGS)],
        ["flux of train_1", "train_0", "1e17"],
    ),
    "half of a shard": ([times("train_0", CGS, rows=slice(0, 80))], ["spectra of train_0", "nothing between"]),
    "a shard of zeros": ([times("val_0", 0.0, "flux", "noisy")], ["val_0 have flux 0 throughout"]),
    "no noise": ([arrays_of("val_0", without_noise)], ["noisy spectra of val_0", "the flux itself", "noise level 1"]),
    "no noise in test": ([arrays_of("test_0", without_noise)], ["noisy spectra of test_0", "the flux itself"]),
    "noise of level 2": ([noise("val_0", 2.0)], ["noise of val_0", "2.", "for 1 time"]),
    "noise of level 0.3": ([noise("test_0", 0.3)], ["noise of test_0", "0.3", "for 1 time"]),
    "noisy never written": ([times("val_0", 0.0, "noisy")], ["noisy spectra of val_0 are 0 throughout"]),
    "noisy in another unit": ([times("test_0", 3.0, "noisy")], ["noisy spectra of test_0 lie above its flux"]),
    "T_eff in kK": ([labels("val_0", lambda t: t.assign(T_eff=t.T_eff / 1e3))], ["T_eff of val_0", "train_0", "100%"]),
    "log_g of others": ([labels("test_0", lambda t: t.assign(log_g=t.log_g + 4.5))], ["log_g of test_0", "train_0"]),
    "T_eff in kK in a train shard": (
        [another("train_0", "train_1"), labels("train_1", lambda t: t.assign(T_eff=t.T_eff / 1e3))],
        ["T_eff of train_", "another unit"],
    ),
    "a mark for unknown log_g": (
        [labels("train_0", lambda t: t.assign(log_g=some_of(t.log_g, -9999.0)))],
        ["log_g is -9999 in 16 of 160 spectra of train_0"],
    ),
}
ODD: dict[str, tuple[list[Change], list[str]]] = {
    "test at lower S/N": ([times("test_0", 5.0, "error"), noise("test_0", 1.0)], ["S/N is typically", "test_0"]),
    "a factor of 2": ([times("val_0", 2.0)], ["flux of val_0", "apart by a factor of 2"]),
    "shifted labels": ([labels("test_0", lambda t: t.assign(log_g=t.log_g + 1.5))], ["log_g of test_0", "extrapolate"]),
    "a few rows never made noisy": ([times("val_0", 0.0, "noisy", rows=slice(0, 9))], ["0 throughout in 9 of 96"]),
    "a few dark rows": ([times("val_0", 0.0, "flux", "noisy", rows=slice(0, 9))], ["9 of 96", "flux 0 throughout"]),
    "noise of level 1.2": ([noise("val_0", 1.2)], ["noise of val_0", "1.2"]),
    "marks for unknown T_eff": (
        [labels("val_0", lambda t: t.assign(T_eff=some_of(t["T_eff"], -9999.0)))],
        ["T_eff is -9999 in 10 of 96 spectra of val_0"],
    ),
    "zeros for unknown log_g": (
        [labels("train_0", lambda t: t.assign(log_g=some_of(t.log_g, 0.0)))],
        ["log_g is 0 in 16 of 160 spectra of train_0"],
    ),
    "train shards sorted by T_eff": (
        [
            another("train_0", "train_1"),
            labels("train_0", lambda t: t.assign(T_eff=3700.0 + (t["T_eff"] - 3750.0) / 2)),
            labels("train_1", lambda t: t.assign(T_eff=4900.0 + (t["T_eff"] - 3750.0) / 2)),
        ],
        ["T_eff of train_0", "sorted shards?"],
    ),
    "noise in one val shard of two": (
        [another("val_0", "val_1"), lambda root: drop_noisy(root / "val_1")],
        ["val_0 holds recorded noise and val_1 none"],
    ),
}


def drop_noisy(folder: Path) -> None:
    with h5py.File(folder / "dataset.h5", "r+") as file:
        del file["dataset/arrays/noisy"]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_one_data_set_is_named(good: Path, tmp_path: Path, case: str) -> None:
    changes, wanted = REFUSED[case]
    found = found_in(changed(good, tmp_path, *changes))
    assert found.refused
    assert not [text for text in wanted if text not in found.refused[0]], found


@pytest.mark.parametrize("case", ODD)
def test_what_is_odd_but_possible_is_said(good: Path, tmp_path: Path, case: str) -> None:
    changes, wanted = ODD[case]
    found = found_in(changed(good, tmp_path, *changes))
    assert found.refused == []
    assert any(all(text in told for text in wanted) for told in found.odd), found


def test_the_error_as_a_variance_is_recognised(good: Path, tmp_path: Path) -> None:
    """Squares are told from another S/N by their spread; the unit is one in which the fluxes are near 1."""
    units = [times(shard, 1.0 / CGS) for shard in ("train_0", "val_0", "test_0")]
    squared = arrays_of("train_0", lambda arrays: arrays.update(error=arrays["error"] ** 2))
    (told,) = found_in(changed(good, tmp_path, *units, squared)).refused
    assert "the error of train_0 looks like a variance" in told


def test_recorded_noise_that_no_search_uses_is_not_judged(good: Path, tmp_path: Path) -> None:
    root = changed(good, tmp_path, arrays_of("val_0", without_noise))
    assert found_in(root, noise_level=0.5) == Mismatches()


def test_brighter_stars_are_told_from_another_unit_by_their_magnitudes(good: Path, tmp_path: Path) -> None:
    """A factor of 8 in flux and of its root in error: 2.26 magnitudes, and beyond what train holds."""
    brighter = [times("test_0", 8.0, "flux"), times("test_0", 8.0**0.5, "error"), noise("test_0", 1.0)]
    same = [labels(shard, lambda t: t.assign(mag=22.0 - 0.1 * t.log_g)) for shard in ("train_0", "test_0")]
    moved = labels("test_0", lambda t: t.assign(mag=t.mag - 2.5 * np.log10(8.0)))
    found = found_in(changed(good, tmp_path / "moved", *brighter, *same, moved))
    assert found.refused == [] and "flux of test_0" in found.odd[0] and "extrapolate" in found.odd[0]
    (told,) = found_in(changed(good, tmp_path / "same", *brighter, *same)).refused
    assert "flux of test_0" in told and "another unit" in told


def test_several_shards_of_a_kind_make_one_sentence(good: Path, tmp_path: Path) -> None:
    changes = [*(another("val_0", f"val_{i}") for i in (1, 2)), *(times(f"val_{i}", CGS) for i in range(3))]
    (told,) = found_in(changed(good, tmp_path, *changes)).refused
    assert "(likewise val_1, val_2)" in told


@pytest.mark.parametrize("sorts", [True, False])
def test_labels_in_another_order_are_suspected(good: Path, tmp_path: Path, sorts: bool) -> None:
    """The simulated S/N tells it, and whether sorting by id would mend it."""
    shuffled = labels("val_0", lambda t: t.sample(frac=1, random_state=1).reset_index(drop=True))
    renamed = labels("val_0", lambda t: t if sorts else t.assign(id=np.random.default_rng(0).permutation(len(t))))
    (told,) = found_in(changed(good, tmp_path, shuffled, renamed)).odd
    assert "labels of val_0 may stand in another order" in told and "snr" in told
    assert told.endswith("they would if sorted by id." if sorts else "their ids are not in order.")


@pytest.mark.parametrize("witness", ["mag", "T_eff"])
def test_order_is_seen_in_magnitudes_and_colours_too(tmp_path: Path, witness: str) -> None:
    simulate(tmp_path / "good", train=120, val=0, test=0, pixels=32)
    kept = {"mag": ["log_g", "T_eff", "mag"], "T_eff": ["log_g", "T_eff"]}[witness]
    less = changed(tmp_path / "good", tmp_path / "less", labels("train_120_0", lambda t: t[kept]))
    assert found_in(less) == Mismatches()
    shuffle = labels("train_120_0", lambda t: t.sample(frac=1, random_state=1).reset_index(drop=True))
    (told,) = found_in(changed(less, tmp_path / "shuffled", shuffle)).odd
    assert witness in told and "another order" in told


SIZES = [
    {"train": 60, "val": 0, "test": 0},
    {"train": 48, "val": 5, "test": 9, "shards": 3},
    {"train": 60, "val": 20, "test": 20},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("seed", [1, 2])
def test_ordinary_roots_however_small_give_no_word(tmp_path: Path, sizes: dict[str, int], seed: int) -> None:
    simulate(tmp_path / "data", **sizes, pixels=24, seed=seed, dtype="float16" if seed == 2 else "float64")
    assert found_in(tmp_path / "data") == Mismatches()
    assert found_in(tmp_path / "data", noise_level=0.2) == Mismatches()


def test_masked_and_invalid_values_count_for_nothing(good: Path, tmp_path: Path) -> None:
    def spoil(arrays: Arrays) -> None:
        for name in ("flux", "error", "noisy"):
            arrays[name][::2, :30] = np.nan
            arrays[name][1::2, 30:] = 1e9

    def mask(root: Path) -> None:
        with h5py.File(root / "val_0" / "dataset.h5", "r+") as file:
            bad = np.zeros((96, 48), np.int64)
            bad[1::2, 30:] = 1
            file["dataset/arrays/mask/value"][:] = bad

    assert found_in(changed(good, tmp_path, arrays_of("val_0", spoil), mask)).refused == []
