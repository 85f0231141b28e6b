"""The simulated stars behave as stars do: each trend that log g is read from, one by one."""

import numpy as np
import pytest

from spectral_search.tasks.spectra.simulator.sky import build_noise_model
from spectral_search.tasks.spectra.simulator.slab_physics import WAVE_RANGE_ANGSTROM, SpectrumModel, Stars
from spectral_search.tasks.spectra.simulator.spectral_lines import atomic_lines, forest_columns, paschen_lines_angstrom

EDGES_L1 = np.linspace(*WAVE_RANGE_ANGSTROM, 4097)
WAVE_L = 0.5 * (EDGES_L1[:-1] + EDGES_L1[1:])
CALCIUM = 8542.09
SODIUM = 8189.0  # between the two lines
PLAIN = (0.0, 0.0, 0.0)  # [M/H], [a/M], [C/M]


@pytest.fixture(scope="module")
def model() -> SpectrumModel:
    return SpectrumModel(WAVE_L)


def flux_of(model: SpectrumModel, *stars: tuple[float, ...]) -> np.ndarray:
    columns = np.array([(*star, *PLAIN[len(star) - 2 :]) for star in stars], dtype=np.float64).T
    return model.flux(Stars(*columns))


def width_of(flux_L: np.ndarray, centre: float, half: float, gap: float = 10.0) -> float:
    """Equivalent width in Å between centre +- half, against the mean on both sides of it."""
    inside = np.abs(WAVE_L - centre) < half
    aside = (np.abs(WAVE_L - centre) > half) & (np.abs(WAVE_L - centre) < half + gap)
    return float(np.sum(1.0 - flux_L[inside] / flux_L[aside].mean()) * (WAVE_L[1] - WAVE_L[0]))


def drop_at(flux_L: np.ndarray, head: float, reach: float = 20.0) -> float:
    """How much darker it is just red of a band head than just blue of it, as a share."""
    distance_L = WAVE_L - head
    blue, red = (distance_L > -reach) & (distance_L < -3.0), (distance_L > 3.0) & (distance_L < reach)
    return float(1.0 - flux_L[red].mean() / flux_L[blue].mean())


def test_flux_is_positive_finite_and_of_the_reference_magnitude(model: SpectrumModel) -> None:
    flux_BL = flux_of(model, (3750, 1, 0.75, 0.5, 0.1), (3750, 5, -1.0), (6000, 1), (6000, 5, 0.75))
    assert np.all(np.isfinite(flux_BL)) and np.all(flux_BL > 0)
    # AB 22 at 6200 Å is 4.5e-18 erg/s/cm2/Å, and these stars are within a factor of two of it in the red
    assert np.all((np.median(flux_BL, axis=1) > 2.0) & (np.median(flux_BL, axis=1) < 6.0))


def test_hotter_stars_are_bluer(model: SpectrumModel) -> None:
    cool_L, hot_L = flux_of(model, (4600, 4, -1.0), (6000, 4, -1.0))
    assert hot_L[:100].mean() / hot_L[-100:].mean() > cool_L[:100].mean() / cool_L[-100:].mean() * 1.1


def test_calcium_triplet_grows_with_metals_and_towards_giants(model: SpectrumModel) -> None:
    poor_L, solar_L, giant_L = flux_of(model, (5000, 4.5, -1.0), (5000, 4.5), (5000, 1.5))
    poor, solar, giant = (width_of(flux_L, CALCIUM, 12.0) for flux_L in (poor_L, solar_L, giant_L))
    assert giant > solar * 1.08 and solar > poor * 1.5


def test_calcium_in_the_sun_is_within_a_factor_of_three_of_the_atlas(model: SpectrumModel) -> None:
    (sun_L,) = flux_of(model, (5777, 4.44))
    assert 3.7 / 3 < width_of(sun_L, CALCIUM, 15.0) < 3.7 * 3  # Å


def test_pressure_moves_potassium_from_core_to_wings(model: SpectrumModel) -> None:
    dwarf_L, giant_L = flux_of(model, (3800, 4.8), (3800, 1.5))
    distance_L = np.abs(WAVE_L - 7698.96)
    core, wing, aside = distance_L < 0.5, (distance_L > 3) & (distance_L < 5), (distance_L > 12) & (distance_L < 16)
    depth = [[1 - flux_L[part].mean() / flux_L[aside].mean() for part in (core, wing)] for flux_L in (dwarf_L, giant_L)]
    assert depth[0][1] / depth[0][0] > 1.3 * depth[1][1] / depth[1][0]


def test_sodium_doublet_is_stronger_in_cool_dwarfs(model: SpectrumModel) -> None:
    dwarf_L, giant_L = flux_of(model, (4000, 4.8), (4000, 1.5))
    assert width_of(dwarf_L, SODIUM, 14.0) > 1.5 * width_of(giant_L, SODIUM, 14.0)


def test_titanium_oxide_only_in_cool_stars_and_more_with_metals(model: SpectrumModel) -> None:
    cool_L, poor_L, warm_L = flux_of(model, (3750, 4.5), (3750, 4.5, -1.0), (5000, 4.5))
    assert drop_at(cool_L, 7589.3) > 0.05
    assert drop_at(poor_L, 7589.3) < 0.5 * drop_at(cool_L, 7589.3)
    assert abs(drop_at(warm_L, 7589.3)) < 0.02


def test_cyanogen_needs_carbon_and_a_giant(model: SpectrumModel) -> None:
    rich_L, lean_L, dwarf_L = flux_of(model, (4700, 1.5, 0.2, 0.0, 0.1), (4700, 1.5, 0.2, 0.0, -0.5), (4700, 4.5, 0.2))
    assert drop_at(rich_L, 7876.0, 40.0) > 2 * drop_at(lean_L, 7876.0, 40.0) > 0
    assert drop_at(rich_L, 7876.0, 40.0) > 2 * drop_at(dwarf_L, 7876.0, 40.0)


def test_paschen_lines_only_in_hot_stars_and_sharper_in_giants(model: SpectrumModel) -> None:
    paschen = paschen_lines_angstrom()[1]  # P12
    hot_L, hot_dwarf_L, cool_L = flux_of(model, (6000, 1.5, -1.0), (6000, 4.8, -1.0), (4500, 1.5, -1.0))
    depth = [drop_in_core(flux_L, paschen) for flux_L in (hot_L, hot_dwarf_L, cool_L)]
    assert depth[0] > 0.05 and depth[0] > 2 * depth[1] and depth[2] < 0.02


def drop_in_core(flux_L: np.ndarray, centre: float) -> float:
    core = np.abs(WAVE_L - centre) < 0.6
    aside = (np.abs(WAVE_L - centre) > 12) & (np.abs(WAVE_L - centre) < 20)
    return float(1.0 - flux_L[core].mean() / flux_L[aside].mean())


def test_alpha_elements_strengthen_magnesium(model: SpectrumModel) -> None:
    plain_L, rich_L = flux_of(model, (5000, 4.5), (5000, 4.5, 0.0, 0.5))
    assert width_of(rich_L, 8806.76, 4.0) > 1.15 * width_of(plain_L, 8806.76, 4.0)


def test_wavelengths_are_those_of_air() -> None:
    waves = {(line.species, line.wave_angstrom) for line in atomic_lines()}
    for known in (("Ca II", 8498.02), ("Ca II", 8662.14), ("Na I", 8194.82), ("K I", 7698.96), ("Mg I", 8806.76)):
        assert known in waves
    assert paschen_lines_angstrom()[:4] == pytest.approx([8862.79, 8750.47, 8665.02, 8598.39], abs=0.1)
    low, high = WAVE_RANGE_ANGSTROM
    assert all(low < line.wave_angstrom < high for line in atomic_lines())


def test_forest_is_always_the_same() -> None:
    first, again = forest_columns(*WAVE_RANGE_ANGSTROM), forest_columns(*WAVE_RANGE_ANGSTROM)
    assert all(np.array_equal(a.wave_angstrom_K, b.wave_angstrom_K) for a, b in zip(first, again, strict=True))
    assert sum(column.wave_angstrom_K.size for column in first) > 2000


def test_lines_are_as_wide_as_the_instrument(model: SpectrumModel) -> None:
    # Ni I 7122.2 alone would be 0.1 Å wide; R = 5000 makes it 1.4 Å
    metal_rich_L, metal_poor_L = flux_of(model, (5777, 4.44, 0.0), (5777, 4.44, -1.0))
    ratio_L = 1.0 - metal_rich_L / metal_poor_L
    near = np.flatnonzero(np.abs(WAVE_L - 7511.02) < 1.0)
    peak = near[np.argmax(ratio_L[near])]
    assert ratio_L[peak + 1] > 0.5 * ratio_L[peak] and ratio_L[peak + 8] < 0.6 * ratio_L[peak]


def test_error_holds_source_photons_and_sky_lines() -> None:
    noise = build_noise_model(WAVE_L, np.diff(EDGES_L1))
    faint_L, bright_L = noise.error(np.array([np.full(4096, 1.0), np.full(4096, 10.0)]))
    assert np.all(bright_L > faint_L)
    extra_L = (bright_L**2 - faint_L**2) * noise.electrons_per_flux_L
    assert np.allclose(extra_L, 9.0)  # Poisson: variance in electrons equals electrons
    on, off = (np.abs(WAVE_L - centre) < 0.5 for centre in (8399.2, 8660.0))
    assert faint_L[on].mean() > 3 * faint_L[off].mean()
    band, clear = (np.abs(WAVE_L - centre) < 5 for centre in (7605.0, 7560.0))
    assert faint_L[band].mean() > 1.5 * faint_L[clear].mean()  # the O2 A band lets less light through
