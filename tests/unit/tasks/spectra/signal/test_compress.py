"""Components of spectra as they are read, against the definition on conditioned ones."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
from small_signal import PIXELS, simulated

from spectral_search.tasks.spectra.noise.clipped_moments import shift_and_variance
from spectral_search.tasks.spectra.shards import unread_blocks
from spectral_search.tasks.spectra.shards.blocks import Block, iter_blocks
from spectral_search.tasks.spectra.shards.content import Gathering
from spectral_search.tasks.spectra.shards.data_root import DataRoot
from spectral_search.tasks.spectra.shards.shard_writer import ShardWriter
from spectral_search.tasks.spectra.shards.split import Selection
from spectral_search.tasks.spectra.shards.unread_blocks import iter_unread
from spectral_search.tasks.spectra.signal import compress as compress_module
from spectral_search.tasks.spectra.signal.compress import compress
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

LEVEL = 1.5


@pytest.fixture(scope="module")
def selection(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    """The simulated spectra in another unit, with values that are invalid in some and pixels that are in all."""
    flux_NL, error_NL, prep = simulated()
    flux_NL, error_NL = flux_NL.copy(), error_NL.copy()
    for row, pixel, value in ((3, 40, 0.0), (70, 41, -1.0), (71, 42, np.nan), (140, 43, np.inf)):
        error_NL[row, pixel] = value
    flux_NL[200, 44] = np.nan
    error_NL[:, ~prep.valid_L] = np.nan
    path = tmp_path_factory.mktemp("spectra") / "train_0" / "dataset.h5"
    spectra = len(flux_NL)
    with ShardWriter(
        path, spectra=spectra, pixels=PIXELS, wave_angstrom_L=np.arange(PIXELS) + 5000.0, with_mask=False
    ) as writer:
        writer.write(0, flux_NL * np.float32(prep.flux_scale), error_NL * np.float32(prep.flux_scale))
        writer.write_params(pd.DataFrame({"log_g": np.linspace(1.0, 5.0, spectra), "T_eff": 5e3, "M_H": 0.0}))
    return Selection.all_of(DataRoot.find([str(path.parent.parent)]).train)


def conditioned(selection: Selection, prep: Preprocessing) -> tuple[np.ndarray, np.ndarray]:
    """Flux and error, float64."""
    (block,) = iter_blocks(selection, condition=prep.conditioning)
    return block.flux_BL.astype(float), block.error_BL.astype(float)


def test_components_are_those_of_the_formulas(selection: Selection) -> None:
    prep = simulated()[2]
    made = compress(selection, partial(iter_blocks, selection, hashed=True), prep, LEVEL)
    flux_NL, error_NL = conditioned(selection, prep)
    assert (error_NL == 0).any(1).sum() > 5 and prep.flux_scale != 1.0
    flux_NL, error_NL = np.maximum(flux_NL, 0.0), LEVEL * error_NL
    shift_NL, variance_NL = shift_and_variance(flux_NL / np.where(error_NL > 0, error_NL, np.inf))
    mean_NL = (flux_NL + error_NL * shift_NL - prep.centre_L) * prep.inverse_noise_L
    variance_NL *= (error_NL * prep.inverse_noise_L) ** 2
    directions_LK = prep.directions_LK.astype(float)
    np.testing.assert_allclose(made.mean_NK, mean_NL @ directions_LK, atol=2e-4)
    exact_NKK = np.einsum("lj,nl,lk->njk", directions_LK, variance_NL, directions_LK, optimize=True)
    factor_NKK = np.einsum("nr,rjk->njk", made.mix_NR, made.factors_RKK)
    off_NKK = factor_NKK @ factor_NKK.transpose(0, 2, 1) - exact_NKK
    off_N = np.linalg.norm(off_NKK, axis=(1, 2)) / np.linalg.norm(exact_NKK, axis=(1, 2))
    assert made.covariance_error <= 0.002 and off_N.mean() < 0.003
    variance_NK, exact_NK = (np.diagonal(v, axis1=1, axis2=2) for v in (off_NKK + exact_NKK, exact_NKK))
    assert np.abs(variance_NK / exact_NK - 1.0).mean() < 0.005


def test_blocks_come_in_any_size_and_order(selection: Selection) -> None:
    prep = simulated()[2]

    def backwards() -> Iterator[Block]:
        yield from reversed(list(iter_blocks(selection, target_bytes=100 * 8 * PIXELS)))

    def components(read: Callable[[], Iterator[Block]]) -> np.ndarray:
        return compress(selection, read, prep, LEVEL).mean_NK

    np.testing.assert_allclose(components(backwards), components(partial(iter_blocks, selection)), atol=1e-5)


def test_blocks_read_by_the_threads_that_work_on_them_give_the_same(
    selection: Selection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unread_blocks, "_NEAR_BYTES", 100 * 8 * PIXELS)
    prep, ours = simulated()[2], Gathering(selection)
    theirs = compress(selection, partial(iter_blocks, selection), prep, LEVEL)
    for early in (0, 1 << 30):  # whether variances wait for the shared matrices, or threads do
        monkeypatch.setattr(compress_module, "_EARLY_BYTES", early)
        made = compress(selection, lambda: ours.watch(iter_unread(selection, hashed=True)), prep, LEVEL)
        np.testing.assert_allclose(made.mean_NK, theirs.mean_NK, atol=1e-5)
        np.testing.assert_allclose(made.mix_NR, theirs.mix_NR, atol=1e-5)
    assert set(ours.whole()) == {"flux", "error", "mask"}


def test_a_reader_that_fails_is_heard(selection: Selection) -> None:
    def failing() -> Iterator[Block]:
        yield from list(iter_blocks(selection, target_bytes=100 * 8 * PIXELS))[:2]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        compress(selection, failing, simulated()[2], LEVEL)


def test_matrices_that_cannot_be_made_are_heard(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> None:
    def share(*arrays: np.ndarray) -> None:
        raise FloatingPointError("not positive definite")

    monkeypatch.setattr(compress_module, "share", share)
    monkeypatch.setattr(compress_module, "_EARLY_BYTES", 0)
    with pytest.raises(FloatingPointError, match="not positive definite"):
        compress(selection, partial(iter_unread, selection), simulated()[2], LEVEL)
