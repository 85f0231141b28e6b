"""The checker says each thing that is wrong, risky or slow, and nothing else."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from shard_variants import VARIANTS, Sample, Variant, make_sample, write_variant

from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.shards.shard_check import check_shard, index_ranges
from spectral_search.tasks.spectra.shards.value_scan import median_snr, sample_ranges, scan

FLOAT32 = Variant(dtype="<f4")


@pytest.fixture(scope="module")
def clean() -> Sample:
    sample = make_sample()
    return replace(sample, error_NL=np.nan_to_num(sample.error_NL, nan=0.5))


def _found(path: Path) -> list[str]:
    return [f"{finding.level}: {finding.sentence}" for finding in check_shard(path)]


def test_a_good_shard_has_no_findings(tmp_path: Path, clean: Sample) -> None:
    assert _found(write_variant(tmp_path / "dataset.h5", clean, FLOAT32)) == []


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("no_mask", "hint: there is no mask"),
        ("gzip", "hint: gzip reads some ten to seventy times slower"),
        ("lzf", "hint: lzf compression slows"),
        ("float64", "hint: flux and error are float64"),
        ("big_float32", "hint: the arrays are big-endian"),
        ("chunks_across_pixels", r"hint: chunks \(5, 7\) split each spectrum"),
        ("no_wave", "warning: there are no wavelengths"),
    ],
)
def test_storage_is_remarked_on(variant: str, expected: str, tmp_path: Path, clean: Sample) -> None:
    sentences = _found(write_variant(tmp_path / "dataset.h5", clean, VARIANTS[variant]))
    assert any(re.match(expected, sentence) for sentence in sentences), sentences


def _edit(key: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        values = change(file[key][()])
        del file[key]
        file[key] = values

    return edit


def _set(values: np.ndarray, where: object, value: float) -> np.ndarray:
    values[where] = value
    return values


ARRAY = "dataset/arrays/{}/value"
CASES: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "edges": (
        _edit(ARRAY.format("error"), lambda error: _set(error, np.s_[:, [0, 51, 52]], np.nan)),
        "warning: pixels 0, 51-52 have no valid error in any spectrum looked at",
    ),
    "all errors": (_edit(ARRAY.format("error"), np.zeros_like), "fault: no pixel has a valid error"),
    "some errors": (
        _edit(ARRAY.format("error"), lambda error: _set(error, np.s_[3, 5:9], -1)),
        "warning: 4 other errors of 1,961 values",
    ),
    "flux": (
        _edit(ARRAY.format("flux"), lambda flux: _set(flux, np.s_[3, 5:9], np.inf)),
        "warning: 4 of 1,961 flux values are not finite",
    ),
    "mask": (
        _edit(ARRAY.format("mask"), lambda mask: 1 - (mask != 0).astype(int)),
        "warning: the mask (int64: 0 = good) calls 9",
    ),
    "edges shape": (
        _edit("spectrumdataset/wave_edges", lambda edges: edges[:-1]),
        "hint: the pixel edges (spectrumdataset/wave_edges) have shape (53,), and are no finite",
    ),
    "own wave": (
        lambda file: file.create_dataset("dataset/arrays/wave/value", (37, 53), "f4"),
        "warning: each spectrum has its own wavelengths",
    ),
    "nanometres": (
        _edit("spectrumdataset/wave", lambda wave: wave / 10),
        "warning: the wavelengths have no unit and are read as nm",
    ),
    "mixed": (
        _edit("spectrumdataset/wave", lambda wave: np.roll(wave, 9)),
        "warning: the wavelengths neither increase",
    ),
    "no wavelengths": (_edit("spectrumdataset/wave", lambda wave: wave * 1e9), "warning: the wavelengths, 7.1"),
    "no labels": (lambda file: file.__delitem__("dataset/params"), "warning: there are no labels"),
    "no log_g": (lambda file: file.__delitem__("dataset/params/log_g"), "warning: there is no label log_g (found: M_H"),
    "log_g": (
        _edit("dataset/params/log_g", lambda log_g: _set(log_g, 3, np.nan)),
        "fault: ",
    ),
    "log_g range": (_edit("dataset/params/log_g", lambda log_g: log_g * 100), "warning: log_g runs from 1"),
    "no M_H": (lambda file: file.__delitem__("dataset/params/M_H"), "warning: the labels M_H are missing"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_fault_is_the_only_finding(case: str, tmp_path: Path, clean: Sample) -> None:
    edit, expected = CASES[case]
    path = write_variant(tmp_path / "dataset.h5", clean, replace(FLOAT32, params="group"))
    with h5py.File(path, "r+") as file:
        edit(file)
    sentences = _found(path)
    assert len(sentences) == 1 and sentences[0].startswith(expected), sentences


def test_unreadable_files_are_faults(tmp_path: Path) -> None:
    assert _found(tmp_path / "none.h5") == [f"fault: {tmp_path}/none.h5: no such file; check the path."]


def test_index_ranges() -> None:
    assert index_ranges(np.array([0, 5, 6, 7, 4095])) == "0, 5-7, 4095"
    assert index_ranges(np.arange(0, 20, 2)) == "0, 2, 4, 6, 8, 10 and 4 more ranges"


@pytest.mark.parametrize("spectra", [1, 63, 64, 65, 1000, 100_000])
@pytest.mark.parametrize("chunk_rows", [1, 64, 4096])
def test_samples_are_whole_chunks_of_bounded_number(spectra: int, chunk_rows: int) -> None:
    ranges = list(sample_ranges(spectra, chunk_rows, 1024))
    rows = np.concatenate([np.arange(*piece) for piece in ranges])
    assert len(np.unique(rows)) == len(rows) and rows.max() < spectra
    assert max(stop - start for start, stop in ranges) <= 256
    assert len(rows) <= max(1024, chunk_rows)
    touched = np.unique(rows // chunk_rows)
    assert len(rows) == sum(min(chunk_rows, spectra - chunk * chunk_rows) for chunk in touched)
    if spectra <= 1024:
        assert len(rows) == spectra


def test_snr_is_the_median_over_good_pixels(tmp_path: Path, clean: Sample) -> None:
    flux, error = np.array([[1, 2, 3, 4], [1, 1, 1, 1]], np.float32), np.array([[1, 1, 1, 0], [0, 0, 0, 0]], np.float32)
    snr = median_snr(flux, error, error > 0)
    assert snr[0] == 2 and np.isnan(snr[1])
    with Shard.open(write_variant(tmp_path / "dataset.h5", clean, FLOAT32)) as shard:
        statistics = scan(shard, 16)
    assert (statistics.scanned, statistics.sampled) == (13, True)  # the first chunk of 8, and the last, of 5
    good = ~clean.invalid_NL
    for row, value in zip(statistics.rows_K, statistics.snr_K, strict=True):
        assert value == np.median((clean.flux_NL / clean.error_NL)[row][good[row]])
