"""Every input by name against plain numpy, and exact zeros wherever a value is invalid."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from small_signal import simulated

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.section import InputSpec
from spectral_search.tasks.spectra.shards.blocks import Block
from spectral_search.tasks.spectra.training.input_transforms import InputTransform
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing, Validity, fit_preprocessing

SPECTRA, PIXELS, UNIT, LEVEL = 400, 10, 1e-17, 0.7
MASKED, RARE = 4, (7, 2)
"""A pixel that the val set masks for all, and one invalid value elsewhere (row, pixel)."""
KINDS = ["standardize", "whiten", "raw_whiten", "flux_error", "flux_inverse_error"]
ROBUST = [{}, {"clamp": 1.5}, {"squash": "asinh"}, {"squash": "log1p"}, {"squash": "asinh", "clamp": 0.9}]
ALL_INPUTS = [
    *({"kind": kind, **robust} for kind in KINDS for robust in ROBUST),
    *({"kind": "whiten", "error_floor": 0.3, **robust} for robust in ROBUST),
    *({"kind": kind, "top_pixels": 4} for kind in KINDS),
]


@cache
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray, Preprocessing]:
    """Noisy flux, error, invalid flags and preprocessing, in the unit of a FITS file."""
    rng = np.random.default_rng(0)
    flux_NL = (UNIT * rng.uniform(0.5, 3.0, (SPECTRA, PIXELS))).astype(np.float32)
    error_NL = (UNIT * rng.lognormal(-2.0, 0.7, (SPECTRA, PIXELS))).astype(np.float32)
    noisy_NL = np.maximum(flux_NL + LEVEL * error_NL * rng.standard_normal(flux_NL.shape), 0).astype(np.float32)
    invalid_NL = np.zeros((SPECTRA, PIXELS), bool)
    invalid_NL[RARE] = True
    for values_NL in (flux_NL, error_NL, noisy_NL):
        values_NL[invalid_NL] = 0.0
    votes = Validity(PIXELS)
    votes.update(np.broadcast_to(np.arange(PIXELS) == MASKED, (SPECTRA, PIXELS)))
    block = Block(np.arange(SPECTRA), flux_NL, error_NL, noisy_NL)
    prep = fit_preprocessing([block], np.linspace(1, 5, SPECTRA), PIXELS, [votes])
    # Some formulas below take prep.mean_L and flux_var_L as given: test_preprocess.py holds those to numpy.
    prep = replace(prep, pixel_rank_L=np.array([9, 2, MASKED, 0, 1, 3, 5, 6, 7, 8]))
    return noisy_NL, error_NL, invalid_NL | (np.arange(PIXELS) == MASKED), prep


def formula(values: dict[str, object]) -> np.ndarray:
    """The input as its description says it, in float64 and numpy, shape (N, C, L)."""
    noisy_NL, error_NL, invalid_NL, prep = problem()
    noisy_NL, error_NL = noisy_NL.astype(np.float64) / prep.flux_scale, error_NL.astype(np.float64) / prep.flux_scale
    mean_L, kind = prep.mean_L.astype(np.float64), values["kind"]
    with np.errstate(divide="ignore", invalid="ignore"):
        if "whiten" in str(kind):
            floor = values.get("error_floor")
            floored_NL = np.maximum(error_NL, np.quantile(error_NL[error_NL > 0], floor)) if floor else error_NL
            x_NL = (noisy_NL - (mean_L if kind == "whiten" else 0.0)) / floored_NL
        else:
            error_sq_L = np.ma.masked_array(error_NL**2, invalid_NL).mean(0).filled(0.0)
            x_NL = (noisy_NL - mean_L) / np.sqrt(prep.flux_var_L + LEVEL**2 * error_sq_L)
        if values.get("squash") == "asinh":
            x_NL = np.arcsinh(x_NL)
        elif values.get("squash") == "log1p":
            x_NL = np.sign(x_NL) * np.log1p(np.abs(x_NL))
        if values.get("clamp"):
            x_NL = np.clip(x_NL, -values["clamp"], values["clamp"])
        channels = [x_NL]
        if str(kind).startswith("flux_"):
            second_NL = error_NL if kind == "flux_error" else 1.0 / error_NL
            second = np.ma.masked_array(second_NL, invalid_NL)
            channels.append((second_NL - second.mean(0)) / second.std(0))
    x_NCL = np.stack([np.where(invalid_NL, 0.0, np.ma.getdata(channel)) for channel in channels], 1)
    return x_NCL[:, :, [0, 2, MASKED, 9]] if "top_pixels" in values else x_NCL


def transformed(values: dict[str, object]) -> np.ndarray:
    noisy_NL, error_NL, _, prep = problem()
    noisy_NL, error_NL = noisy_NL.copy(), error_NL.copy()
    prep.conditioning(noisy_NL, error_NL)
    before = noisy_NL.copy(), error_NL.copy()
    transform = InputTransform(InputSpec.model_validate(values), prep, LEVEL)
    x_NCL = transform(torch.from_numpy(noisy_NL), torch.from_numpy(error_NL)).numpy()
    np.testing.assert_array_equal(noisy_NL, before[0])
    np.testing.assert_array_equal(error_NL, before[1])
    assert x_NCL.shape == (SPECTRA, transform.channels, transform.pixels)
    return x_NCL


@pytest.mark.parametrize("values", ALL_INPUTS, ids=lambda values: "-".join(map(str, values.values())))
def test_input_is_its_formula(values: dict[str, object]) -> None:
    # The floor is a quantile known to 0.4%.
    tolerance = 5e-3 if "error_floor" in values else 2e-4
    np.testing.assert_allclose(transformed(values), formula(values), rtol=tolerance, atol=2e-4)


@pytest.mark.parametrize("values", ALL_INPUTS, ids=lambda values: "-".join(map(str, values.values())))
def test_invalid_and_masked_values_are_exactly_zero(values: dict[str, object]) -> None:
    x_NCL = transformed(values)
    kept = [0, 2, MASKED, 9] if "top_pixels" in values else list(range(PIXELS))
    assert (x_NCL[:, :, kept.index(MASKED)] == 0.0).all()
    assert (x_NCL[RARE[0], :, kept.index(RARE[1])] == 0.0).all()
    others_NCL = np.delete(x_NCL, kept.index(MASKED), axis=2)
    assert np.isfinite(x_NCL).all()
    assert (others_NCL == 0.0).mean() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_mean_below_zero_leaves_invalid_values_at_zero(kind: str) -> None:
    """Sky-subtracted flux may average below 0, where noisy flux is clipped."""
    rng = np.random.default_rng(1)
    flux_NL = rng.normal(-0.5, 0.2, (SPECTRA, PIXELS)).astype(np.float32)
    error_NL = rng.uniform(0.5, 1.0, flux_NL.shape).astype(np.float32)
    flux_NL[3, 3] = error_NL[3, 3] = 0.0
    block = Block(np.arange(SPECTRA), flux_NL, error_NL)
    prep = fit_preprocessing([block], np.linspace(1, 5, SPECTRA), PIXELS)
    prep.conditioning(flux_NL, error_NL)
    noisy_NL = np.maximum(flux_NL, 0.0)
    x_NCL = InputTransform(InputSpec(kind=kind), prep, 1.0)(torch.from_numpy(noisy_NL), torch.from_numpy(error_NL))
    assert (x_NCL[3, :, 3] == 0.0).all()


def test_a_pixel_that_never_varies_is_zero_not_noise() -> None:
    rng = np.random.default_rng(1)
    flux_NL = rng.uniform(0.5, 1.0, (SPECTRA, PIXELS)).astype(np.float32)
    flux_NL[:, 1] = 0.7  # a normalised continuum
    error_NL = np.full_like(flux_NL, 0.1)
    block = Block(np.arange(SPECTRA), flux_NL, error_NL)
    prep = fit_preprocessing([block], np.linspace(1, 5, SPECTRA), PIXELS)
    prep.conditioning(flux_NL, error_NL)
    transform = InputTransform(InputSpec(kind="flux_error"), prep, 0.0)
    x_NCL = transform(torch.from_numpy(flux_NL), torch.from_numpy(error_NL))
    assert (x_NCL[:, 0, 1] == 0.0).all()
    assert (x_NCL[:, 1] == 0.0).all()
    assert x_NCL[:, 0, 2].std() == pytest.approx(1.0, rel=1e-2)


def test_top_pixels_without_a_ranking_are_refused() -> None:
    prep = replace(problem()[3], pixel_rank_L=np.zeros(0, np.int64))
    with pytest.raises(RequestError, match="needs a pixel ranking"):
        InputTransform(InputSpec(top_pixels=4), prep, 1.0)


@pytest.mark.parametrize("level", [1.0, 0.3])
def test_denoised_gives_every_direction_what_its_signal_to_noise_deserves(level: float) -> None:
    flux_NL, error_NL, prep = simulated()
    noise_NL = level * error_NL * np.random.default_rng(2).standard_normal(flux_NL.shape, dtype=np.float32)
    given = [torch.from_numpy(values_NL) for values_NL in (np.maximum(flux_NL + noise_NL, 0.0), error_NL)]
    signal_NK, denoised_NL = (
        InputTransform(InputSpec.model_validate({"kind": kind}), prep, level)(*given)[:, 0].numpy()
        for kind in ("signal", "denoised")
    )
    wiener_K = 1.0 / (1.0 + level**2 / np.square(prep.strength_K.astype(np.float64)))
    assert wiener_K[0] > 0.99 and wiener_K[-1] < 0.5  # the brightness, and what drowns in noise
    expected_NL = (signal_NK * wiener_K) @ prep.directions_LK.T
    expected_NL *= np.sqrt(prep.valid_L.sum() / np.square(wiener_K).sum())
    np.testing.assert_allclose(denoised_NL, expected_NL, atol=2e-4)
    assert (denoised_NL[:, ~prep.valid_L] == 0.0).all()
    assert np.sqrt(np.square(denoised_NL[:, prep.valid_L]).mean()) == pytest.approx(1.0, abs=0.1)
