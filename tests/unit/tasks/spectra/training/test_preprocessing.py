"""Preprocessing statistics are numpy's, whatever the blocks and the unit of the flux."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.record.bundle import read_safetensors, to_safetensors
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.training.preprocessing import (
    QUANTILES,
    Preprocessing,
    fit_preprocessing,
    set_validity,
)

SPECTRA, PIXELS = 700, 12


def raw(unit: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, error and invalid flags, with invalid values here and there at under 1%, and pixel 3 invalid in 2%."""
    rng = np.random.default_rng(seed)
    flux_NL = unit * rng.uniform(0.5, 3.0, (SPECTRA, PIXELS)).astype(np.float32)
    error_NL = unit * rng.lognormal(-2.0, 0.7, (SPECTRA, PIXELS)).astype(np.float32)
    invalid_NL = np.zeros((SPECTRA, PIXELS), bool)
    invalid_NL[[5, 300], 7] = invalid_NL[: SPECTRA // 50, 3] = True
    flux_NL[invalid_NL] = error_NL[invalid_NL] = 0.0
    return flux_NL.astype(np.float32), error_NL.astype(np.float32), invalid_NL


def blocks_of(flux_NL: np.ndarray, error_NL: np.ndarray, invalid_NL: np.ndarray, size: int) -> list[Block]:
    parts = [slice(a, a + size) for a in range(0, len(flux_NL), size)]
    rows_N = np.arange(len(flux_NL))
    return [Block(rows_N[p], flux_NL[p], error_NL[p]) for p in parts]


def fitted(unit: float = 1.0, size: int = 64) -> Preprocessing:
    return fit_preprocessing(blocks_of(*raw(unit), size), np.linspace(1, 5, SPECTRA), PIXELS)


@pytest.mark.parametrize("unit", [1.0, 1e-17, 3e4])
@pytest.mark.parametrize("size", [1, 97, 1000])
def test_equals_numpy_on_all_data(unit: float, size: int) -> None:
    flux_NL, error_NL, invalid_NL = raw(unit)
    prep = fitted(unit, size)
    valid_L = np.arange(PIXELS) != 3
    np.testing.assert_array_equal(prep.valid_L, valid_L)
    masked = {
        name: np.ma.masked_array(values_NL.astype(np.float64) * scale, invalid_NL)
        for name, values_NL, scale in (("flux", flux_NL, 1.0), ("error", error_NL, 1.0))
    }
    masked["inverse"] = 1.0 / masked["error"]
    scale = prep.flux_scale
    expected = {
        "mean_L": masked["flux"].mean(0) / scale,
        "flux_var_L": masked["flux"].var(0) / scale**2,
        "error_mean_L": masked["error"].mean(0) / scale,
        "error_var_L": masked["error"].var(0) / scale**2,
        "inverse_error_mean_L": masked["inverse"].mean(0) * scale,
        "inverse_error_var_L": masked["inverse"].var(0) * scale**2,
    }
    for name, value_L in expected.items():
        np.testing.assert_allclose(getattr(prep, name), np.where(valid_L, value_L, 0.0), rtol=2e-5, err_msg=name)
    noisy_var_L = (masked["flux"].var(0) + 0.25 * (masked["error"] ** 2).mean(0)) / scale**2
    np.testing.assert_allclose(prep.noisy_var_L(0.5)[valid_L], noisy_var_L[valid_L], rtol=2e-5)
    quantiles = np.quantile(error_NL[~invalid_NL].astype(np.float64), QUANTILES) / scale
    np.testing.assert_allclose(prep.error_quantiles_Q, quantiles, rtol=0.02)
    assert prep.target_mean_dex == pytest.approx(3.0)
    assert prep.target_std_dex == pytest.approx(np.std(np.linspace(1, 5, SPECTRA)))


def test_scaled_flux_is_of_order_one_and_scaling_is_exact() -> None:
    prep = fitted(1e-17)
    assert 0.3 < prep.mean_L[0] < 3.0
    assert np.log2(prep.flux_scale) == round(np.log2(prep.flux_scale))


def test_blocks_do_not_matter() -> None:
    first, second = fitted(size=50), fitted(size=333)
    for name, value in first.to_arrays().items():
        np.testing.assert_allclose(value, second.to_arrays()[name], rtol=1e-6, atol=1e-9, err_msg=name)
    np.testing.assert_array_equal(first.error_quantiles_Q, second.error_quantiles_Q)
    assert first.flux_scale == second.flux_scale


def test_digits_survive_a_mean_far_above_the_spread() -> None:
    rng = np.random.default_rng(0)
    flux_NL = (1000.0 + rng.normal(0.0, 1.0, (3000, 4))).astype(np.float32)
    error_NL = np.ones_like(flux_NL)
    blocks = blocks_of(flux_NL, error_NL, np.zeros_like(flux_NL, bool), 3000)
    prep = fit_preprocessing(blocks, np.arange(3000.0), 4)
    np.testing.assert_allclose(prep.flux_var_L * prep.flux_scale**2, flux_NL.astype(np.float64).var(0), rtol=1e-4)
    np.testing.assert_array_equal(prep.error_var_L, 0.0)


@pytest.mark.parametrize("where", ["train", "val", "test"])
def test_pixel_invalid_in_any_set_is_masked_for_all(where: str) -> None:
    sets = {name: list(raw(1.0, seed)) for seed, name in enumerate(("train", "val", "test"))}
    for values in sets.values():
        values[2][:] = False
        values[0][values[0] == 0] = values[1][values[1] == 0] = 1.0
    flux_NL, error_NL, invalid_NL = sets[where]
    invalid_NL[: SPECTRA // 20, 5] = True
    flux_NL[invalid_NL] = error_NL[invalid_NL] = 0.0
    others = [set_validity(blocks_of(*sets[name], 64), PIXELS) for name in ("val", "test")]
    prep = fit_preprocessing(blocks_of(*sets["train"], 64), np.linspace(1, 5, SPECTRA), PIXELS, others)
    np.testing.assert_array_equal(prep.valid_L, np.arange(PIXELS) != 5)
    assert prep.mean_L[5] == prep.flux_var_L[5] == prep.error_mean_L[5] == 0.0


def test_first_spectra_without_flux_are_no_obstacle() -> None:
    flux_NL, error_NL, invalid_NL = raw(1.0)
    whole = fit_preprocessing(blocks_of(flux_NL[3:], error_NL[3:], invalid_NL[3:], 64), np.arange(697.0), PIXELS)
    flux_NL[:3] = error_NL[:3] = 0.0
    invalid_NL[:3] = True
    prep = fit_preprocessing(blocks_of(flux_NL, error_NL, invalid_NL, 1), np.arange(700.0), PIXELS)
    assert prep.flux_scale == whole.flux_scale
    np.testing.assert_allclose(prep.mean_L, whole.mean_L, rtol=1e-6)


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    prep = replace(fitted(), pixel_rank_L=np.arange(PIXELS)[::-1])
    file = tmp_path / "preprocessing.safetensors"
    file.write_bytes(to_safetensors(prep.to_arrays()))
    again = Preprocessing.from_arrays(read_safetensors(file)[0])
    for name, value in prep.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], value, err_msg=name)
        assert again.to_arrays()[name].dtype == value.dtype
    assert isinstance(again.flux_scale, float)


def test_missing_arrays_are_named() -> None:
    arrays = fitted().to_arrays()
    del arrays["mean_L"], arrays["valid_L"]
    with pytest.raises(RequestError, match="lacks valid_L, mean_L"):
        Preprocessing.from_arrays(arrays)


def test_no_valid_pixel_is_refused() -> None:
    flux_NL, error_NL, _ = raw(1.0)
    all_invalid = blocks_of(np.zeros_like(flux_NL), np.zeros_like(error_NL), np.ones_like(flux_NL, bool), 64)
    with pytest.raises(RequestError, match="No pixel has a valid flux"):
        fit_preprocessing(all_invalid, np.linspace(1, 5, SPECTRA), PIXELS)
    disjoint = [set_validity(all_invalid, PIXELS)]
    with pytest.raises(RequestError, match="No pixel has a valid flux"):
        fit_preprocessing(blocks_of(*raw(1.0), 64), np.linspace(1, 5, SPECTRA), PIXELS, disjoint)


@pytest.mark.parametrize(("label", "message"), [(3.0, "the same for every"), (np.nan, "1 of 700 .* no finite log_g")])
def test_labels_without_information_are_refused(label: float, message: str) -> None:
    log_g_N = np.full(SPECTRA, 3.0)
    log_g_N[0] = label
    with pytest.raises(RequestError, match=message):
        fit_preprocessing(blocks_of(*raw(1.0), 64), log_g_N, PIXELS)
