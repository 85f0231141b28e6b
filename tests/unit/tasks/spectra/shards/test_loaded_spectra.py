from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_shards import PIXELS, fake_labels, flux_of, make_shard

from spectral_search.tasks.spectra.shards.blocks import iter_blocks
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.loaded_spectra import bytes_in_memory, load_spectra
from spectral_search.tasks.spectra.shards.split import Selection


@pytest.fixture
def val(tmp_path: Path) -> Selection:
    make_shard(tmp_path / "train/dataset.h5", 8)
    make_shard(tmp_path / "val/dataset.h5", 40, with_noisy=True)
    return Selection.all_of(DataRoot.find(tmp_path).val)


def test_spectra_and_labels_belong_together(val: Selection) -> None:
    part = val.take(np.array([30, 3, 17]))
    spectra = load_spectra(part, iter_blocks(part, noisy=True))
    np.testing.assert_array_equal(spectra.flux_NL[:, 1:-1], flux_of(np.array([3, 17, 30]))[:, 1:-1])
    np.testing.assert_array_equal(spectra.noisy_NL[:, 1:-1], spectra.flux_NL[:, 1:-1] + np.float32(0.25))
    assert (spectra.error_NL[:, [0, -1]] == 0).all()
    assert (spectra.error_NL[:, 1:-1] == 0.5).all()
    np.testing.assert_allclose(spectra.labels["log_g"], fake_labels(40)["log_g"][[3, 17, 30]])
    assert len(spectra) == 3
    assert spectra.pixels == PIXELS


def test_blocks_may_come_in_any_order(val: Selection) -> None:
    blocks = list(iter_blocks(val, target_bytes=8 * 8 * PIXELS))
    assert len(blocks) == 5
    forward, backward = load_spectra(val, blocks), load_spectra(val, reversed(blocks))
    np.testing.assert_array_equal(forward.flux_NL, backward.flux_NL)
    assert forward.noisy_NL is None


def test_missing_and_repeated_spectra_are_refused(val: Selection) -> None:
    blocks = list(iter_blocks(val, target_bytes=8 * 8 * PIXELS))
    with pytest.raises(ValueError, match="8 of 40 spectra did not arrive"):
        load_spectra(val, blocks[1:])
    with pytest.raises(ValueError, match="8 came twice"):
        load_spectra(val, [*blocks, blocks[2]])


def test_blocks_with_and_without_noisy_are_refused(val: Selection) -> None:
    first, *others = iter_blocks(val, noisy=True, target_bytes=8 * 8 * PIXELS)
    with pytest.raises(ValueError, match="noisy"):
        load_spectra(val, [replace(first, noisy_BL=None), *others])


def test_bytes_are_known_before_loading(val: Selection) -> None:
    for noisy in (False, True):
        assert load_spectra(val, iter_blocks(val, noisy=noisy)).nbytes == bytes_in_memory(val, noisy)


def test_take_keeps_the_order_given(val: Selection) -> None:
    spectra = load_spectra(val, iter_blocks(val))
    part = spectra.take(np.array([7, 2]))
    np.testing.assert_array_equal(part.flux_NL, spectra.flux_NL[[7, 2]])
    assert part.labels["id"].tolist() == [7, 2]
    assert list(part.labels.index) == [0, 1]
    assert np.shares_memory(spectra.take(slice(3, 9)).flux_NL, spectra.flux_NL)
