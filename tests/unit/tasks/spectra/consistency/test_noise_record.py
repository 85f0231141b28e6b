"""The level of recorded noise is found however much of it is clipped at 0."""

import numpy as np
import pytest

from spectral_search.tasks.spectra.consistency.noise_record import NoiseRecord, measure_noise


def record(level: float, snr: float, spectra: int = 100, offset: float = 0.0) -> NoiseRecord:
    generator = np.random.default_rng(3)
    error_KL = generator.uniform(0.5, 2.0, (spectra, 200))
    flux_KL = snr * error_KL
    noisy_KL = np.clip(flux_KL + level * error_KL * generator.standard_normal(flux_KL.shape) + offset, 0.0, None)
    return measure_noise(flux_KL, error_KL, noisy_KL, np.ones(flux_KL.shape, bool))


@pytest.mark.parametrize("snr", [0.1, 1.0, 8.0, 1000.0])
@pytest.mark.parametrize("level", [0.3, 1.0, 3.0])
def test_the_level_comes_out_at_any_signal_to_noise(level: float, snr: float) -> None:
    found = record(level, snr)
    assert found.level == pytest.approx(level, rel=4 * found.level_error) and found.level_error < 0.02
    assert found.above == pytest.approx(0.5, abs=0.02)
    assert (found.noise_free, found.empty) == (0, 0)


def test_its_standard_error_is_what_it_says() -> None:
    generator = np.random.default_rng(0)
    ones = np.ones((1, 400))
    levels = [
        measure_noise(50 * ones, ones, 50 * ones + generator.standard_normal(ones.shape), ones > 0) for _ in range(400)
    ]
    spread = float(np.std([found.level for found in levels]))
    assert spread == pytest.approx(levels[0].level_error, rel=0.2)


def test_an_offset_shows_in_what_lies_above() -> None:
    assert record(1.0, 8.0, offset=2.0).above > 0.8


def test_spectra_without_noise_and_unwritten_ones_are_counted_apart() -> None:
    flux_KL = np.full((4, 50), 8.0)
    noisy_KL = flux_KL + np.random.default_rng(1).standard_normal(flux_KL.shape)
    noisy_KL[0], noisy_KL[1] = flux_KL[0], 0.0
    flux_KL[2] = noisy_KL[2] = 0.0  # no flux: nothing can be said of its noise
    found = measure_noise(flux_KL, np.ones((4, 50)), noisy_KL, np.ones((4, 50), bool))
    assert (found.spectra, found.noise_free, found.empty) == (3, 1, 1)
    assert found.values < 50


def test_invalid_values_are_left_out() -> None:
    flux_KL, valid_KL = np.full((3, 50), 8.0), np.ones((3, 50), bool)
    noisy_KL = flux_KL + np.random.default_rng(1).standard_normal(flux_KL.shape)
    noisy_KL[:, :20], valid_KL[:, :20] = 1e9, False
    error_KL = np.where(valid_KL, 1.0, np.nan)
    assert measure_noise(flux_KL, error_KL, noisy_KL, valid_KL).level == pytest.approx(1.0, abs=0.4)
