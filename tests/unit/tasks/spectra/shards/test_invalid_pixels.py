"""Pixels that hold an invalid value are all found, by numpy and by machine code, and few others."""

from pathlib import Path

import numpy as np
import pytest
from small_shards import make_shard

from spectral_search.tasks.spectra.shards import invalid_pixels as suspects
from spectral_search.tasks.spectra.shards.blocks import iter_blocks, row_ranges
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.invalid_pixels import compile_search, suspect_pixels
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.training.streamed_spectra import read_plainly
from spectral_search.train.compiled_program import CompiledOnce

TINY, LARGEST = np.float32(1e-45), np.finfo(np.float32).max
NEGATIVE_NAN = np.array([0xFFC00001], np.uint32).view(np.float32)[0]
SIGNALLING_NAN = np.array([0x7F800001], np.uint32).view(np.float32)[0]
FINITE = [0.0, -0.0, TINY, -TINY, 1.0, -1.0, LARGEST, -LARGEST]
NOT_FINITE = [np.nan, NEGATIVE_NAN, SIGNALLING_NAN, np.inf, -np.inf]
PIXELS = 37
"""No multiple of a vector's length."""


@pytest.fixture(params=["numpy", "machine code"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(suspects, "_FUNCTIONS", CompiledOnce(suspects._written))
    if request.param == "machine code":
        compile_search()
    return str(request.param)


def good(spectra: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(spectra)
    return {name: rng.uniform(0.5, 2.0, (spectra, PIXELS)).astype(np.float32) for name in ("flux", "error", "noisy")}


@pytest.mark.parametrize("spectra", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("names", [("flux", "error"), ("flux", "error", "noisy")])
def test_one_invalid_value_anywhere_is_found_at_its_pixel(way: str, spectra: int, names: tuple[str, ...]) -> None:
    for name in names:
        invalid = NOT_FINITE + ([0.0, -0.0, -TINY, -1.0, -LARGEST] if name == "error" else [])
        for row in range(spectra):
            values = {key: array for key, array in good(spectra).items() if key in names}
            assert not suspect_pixels(values).any()
            pixels = np.arange(len(invalid)) * 3
            values[name][row, pixels] = invalid
            assert np.flatnonzero(suspect_pixels(values)).tolist() == pixels.tolist()


def test_valid_extremes_are_not_suspected(way: str) -> None:
    values = good(9)
    values["flux"][3, : len(FINITE)] = FINITE
    values["error"][4, :2] = TINY, LARGEST / 2
    assert not suspect_pixels(values).any()


@pytest.mark.parametrize(
    "wrong", [np.ones((4, PIXELS)), np.ones((PIXELS, 4), np.float32).T, np.ones((3, PIXELS), np.float32)]
)
def test_machine_code_refuses_what_it_would_misread(wrong: np.ndarray) -> None:
    compile_search()
    with pytest.raises(ValueError, match="contiguous float32"):
        suspect_pixels(good(4) | {"flux": wrong})


def test_errors_alone_are_looked_at(way: str) -> None:
    error_PL = good(5)["error"]
    error_PL[3, 7] = 0.0
    assert np.flatnonzero(suspect_pixels({"error": error_PL})).tolist() == [7]


def test_a_stream_compiles_and_reads_what_is_read_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspects, "_FUNCTIONS", CompiledOnce(suspects._written))
    make_shard(tmp_path / "train_0/dataset.h5", 21)
    selection = Selection.all_of(DataRoot.find(tmp_path).train)
    (plain,) = iter_blocks(selection)
    (streamed,) = read_plainly(row_ranges(selection))
    assert suspects._FUNCTIONS.ready
    assert plain.invalid_BL.any()
    np.testing.assert_array_equal(streamed.error_BL, plain.error_BL)
    np.testing.assert_array_equal(streamed.flux_BL, plain.flux_BL)
