"""Hashes made by machine code are those of xxhash's binding."""

import numpy as np
import pytest

from spectral_search.record.row_hash import UNMARKED, mask_hashes, row_hashes
from spectral_search.tasks.spectra.shards import unlocked_hash
from spectral_search.tasks.spectra.shards.unlocked_hash import compile_hashes, unlocked_hashes, unlocked_mask_hashes
from spectral_search.train.compiled_program import CompiledOnce


@pytest.fixture(params=["the binding", "machine code", "machine code that finds no function"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(unlocked_hash, "_FUNCTIONS", CompiledOnce(unlocked_hash._written))
    if request.param == "machine code that finds no function":
        monkeypatch.setattr(unlocked_hash, "_address", lambda: 0)
    if request.param != "the binding":
        compile_hashes()
    return str(request.param)


@pytest.mark.parametrize(("rows", "pixels"), [(5, 4096), (3, 515), (2, 50), (4, 3), (1, 1), (0, 7), (2, 0)])
def test_they_are_the_same(way: str, rows: int, pixels: int) -> None:
    values_BL = np.random.default_rng(pixels).standard_normal((rows, pixels)).astype(np.float32)
    found_B = unlocked_hashes(values_BL)
    assert found_B.dtype == np.uint64 and unlocked_hash._FUNCTIONS.ready == (way == "machine code")
    np.testing.assert_array_equal(found_B, row_hashes(values_BL))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("marked", [[], [1], [0, 3]])
def test_masks_are_bytes_and_those_that_mark_nothing_are_one(marked: list[int]) -> None:
    bad_BL = np.zeros((4, 300), bool)
    bad_BL[marked, 70] = True
    found_B = unlocked_mask_hashes(bad_BL)
    np.testing.assert_array_equal(found_B, mask_hashes(bad_BL))
    np.testing.assert_array_equal(np.flatnonzero(found_B != UNMARKED), marked)


def test_rows_that_do_not_follow_each_other_are_refused() -> None:
    compile_hashes()
    with pytest.raises(ValueError, match="contiguous"):
        unlocked_hashes(np.ones((4, 6), np.float32)[:, ::2])
