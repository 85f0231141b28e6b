"""Late-type stellar spectra in the simplest physics that still behaves: one slab, line strengths from equilibrium.

The flux is F = B(T_eff) [1 - A (1 - exp(-tau) / (1 + wings))], where tau sums the cores of all lines and bands as seen
at the instrument's resolution, wings sums the damping wings of the strongest lines, and A is how much darker than the
continuum a saturated line is. tau and wings are small matrix products of line strengths (spectra x columns) and fixed
templates (columns x pixels), which is why a spectrum costs under a millisecond. See docs/simulator.md for what is left
out.

Shape suffixes: B spectra, G columns (lines or groups of lines), L pixels, K nodes of the continuum.
"""

from dataclasses import dataclass

import numpy as np

from spectral_search.tasks.spectra.simulator.sky import ab_flux
from spectral_search.tasks.spectra.simulator.spectral_lines import (
    CN_HEADS,
    DAMPED,
    SPECIES,
    TIO_HEADS,
    Species,
    atomic_lines,
    band_template,
    forest_columns,
    line_templates,
    paschen_lines_angstrom,
    profile_sigma,
)

WAVE_RANGE_ANGSTROM = (7100.0, 8850.0)
REFERENCE_MAG = 22.0
_MAG_BAND_ANGSTROM = 6200.0  # effective wavelength of the band in which `mag` is measured (HSC r)
_PLANCK_C2_ANGSTROM_KELVIN = 1.438777e8
_SUN_T_EFF_KELVIN, _SUN_LOG_G = 5777.0, 4.44
_LINE_TEMPERATURE_SHARE = 0.87  # of T_eff, where line cores form
_MOLECULE_TEMPERATURE_SHARE = 0.85  # molecules sit higher and cooler
_SURFACE_TEMPERATURE_SHARE = 0.74  # what shines through at the bottom of a saturated line
_OPACITY_SCALE_DEX = 13.05  # ties eta to the equivalent width of Fe I 8688.6 in the Sun (0.27 Å)
_TIO_SCALE_DEX = 1.2
_CN_SCALE_DEX = 8.2
_PASCHEN_SCALE_DEX = 13.0
_BAND_SATURATION = 2.5  # a band's lines saturate one by one: its mean optical depth cannot pass this
_WING_DEPTH = 6.0  # wings form deeper than cores, at a pressure this much higher
_LIGHT_KMS = 299792.458
_CONTINUUM_NODES = 24
_NITROGEN_ABUNDANCE, _CARBON_ABUNDANCE, _OXYGEN_ABUNDANCE = 7.83, 8.43, 8.69
_PASCHEN_WIDTHS_ANGSTROM = (2.0, 7.0)
_PASCHEN_SATURATION_ANGSTROM = 4.0


@dataclass(frozen=True)
class Stars:
    """Labels of B stars: effective temperature (K), surface gravity (dex, cgs) and abundances (dex)."""

    t_eff_kelvin_B: np.ndarray
    log_g_B: np.ndarray
    m_h_B: np.ndarray
    a_m_B: np.ndarray
    c_m_B: np.ndarray


@dataclass(frozen=True)
class Atmosphere:
    """The slab in which lines form; pressures in dyn cm^-2, opacity per hydrogen nucleus relative to H- at theta 1."""

    log_electron_pressure_B: np.ndarray
    log_gas_pressure_B: np.ndarray
    log_opacity_B: np.ndarray
    temperature_B: np.ndarray
    turbulence_kms_B: np.ndarray

    @property
    def theta_B(self) -> np.ndarray:
        """5040 K over the temperature: Boltzmann factors are 10^(-theta E/eV)."""
        return 5040.0 / self.temperature_B


def _atmosphere(stars: Stars, temperature_share: float) -> Atmosphere:
    """Pressures and opacity where lines form, from the scalings of Gray (Observation and Analysis, ch. 9).

    Electron pressure grows as g^(1/3) and with the metals that give the electrons; gas pressure as g^(2/3), less where
    metals make the gas opaque.
    """
    hotter_B = stars.t_eff_kelvin_B - _SUN_T_EFF_KELVIN
    heavier_B = stars.log_g_B - _SUN_LOG_G
    log_electron_B = 0.9 + 0.36 * heavier_B + 0.33 * stars.m_h_B + 6.0e-4 * hotter_B
    log_gas_B = 4.85 + 0.56 * heavier_B - 0.30 * stars.m_h_B - 1.0e-4 * hotter_B
    temperature_B = temperature_share * stars.t_eff_kelvin_B
    theta_B = 5040.0 / temperature_B
    log_opacity_B = log_electron_B + 0.754 * theta_B + 2.5 * np.log10(theta_B)
    turbulence_B = 1.8 - 0.18 * stars.log_g_B
    return Atmosphere(log_electron_B, log_gas_B, log_opacity_B, temperature_B, turbulence_B)


def _log_stage_share(species: Species, layer: Atmosphere) -> np.ndarray:
    """log10 of the share of an element in the absorbing stage (B,): Saha's equation for atom and first ion."""
    log_ratio_B = (
        -0.179
        + np.log10(species.partition_ratio)
        - layer.theta_B * species.ionisation_ev
        + 2.5 * np.log10(layer.temperature_B)
        - layer.log_electron_pressure_B
    )
    return -np.log10(1.0 + 10.0 ** (-log_ratio_B if species.ionised else log_ratio_B))


def _log_line_opacity(species: Species, excitation_ev: np.ndarray, stars: Stars, layer: Atmosphere) -> np.ndarray:
    """log10 of line over continuous opacity (B, G) at the line centre for log gf 0: Boltzmann, Saha, abundance, H-."""
    log_abundance_B = species.abundance - 12.0 + stars.m_h_B + (stars.a_m_B if species.alpha else 0.0)
    common_B = log_abundance_B + _log_stage_share(species, layer) - np.log10(species.partition) - layer.log_opacity_B
    return common_B[:, None] - layer.theta_B[:, None] * excitation_ev + _OPACITY_SCALE_DEX


def _doppler_angstrom(species: Species, wave_angstrom: np.ndarray | float, layer: Atmosphere) -> np.ndarray:
    """Doppler width (B, G) of a line: thermal motion and microturbulence."""
    thermal2_B = 1.6629e-2 * layer.temperature_B / species.atomic_mass  # 2kT/m in (km/s)^2
    velocity_B = np.sqrt(thermal2_B + layer.turbulence_kms_B**2)
    return velocity_B[:, None] / _LIGHT_KMS * np.atleast_1d(wave_angstrom)


def _saturated_width(eta: np.ndarray) -> np.ndarray:
    """Equivalent width in Doppler widths of a line of central opacity eta: sqrt(pi) eta, then 2 sqrt(ln eta)."""
    return 2.0 * np.sqrt(0.5 * np.log1p(0.5 * np.pi * eta**2))


def _damping_ratio(species_name: str, wave_angstrom: float, doppler_B: np.ndarray, layer: Atmosphere) -> np.ndarray:
    """Voigt parameter a (B,) of a strong line: radiative and van der Waals widths over the Doppler width."""
    log_gamma6, gamma_radiative = DAMPED.get(species_name, (-7.5, 1.0e8))
    hydrogen_B = 10.0**layer.log_gas_pressure_B / (1.380649e-16 * layer.temperature_B)
    gamma_B = gamma_radiative + 10.0**log_gamma6 * hydrogen_B * (layer.temperature_B / 1e4) ** 0.3
    return gamma_B * wave_angstrom**2 * 1e-8 / (4.0 * np.pi * 2.99792458e10 * doppler_B)


def _carbon_and_oxygen(stars: Stars, layer: Atmosphere) -> tuple[np.ndarray, np.ndarray]:
    """log10 partial pressures (B,) of free carbon and oxygen once CO has formed (after Tsuji 1973, rounded)."""
    hydrogen_B = 10.0**layer.log_gas_pressure_B * 0.92
    carbon_B = hydrogen_B * 10.0 ** (_CARBON_ABUNDANCE - 12.0 + stars.m_h_B + stars.c_m_B)
    oxygen_B = hydrogen_B * 10.0 ** (_OXYGEN_ABUNDANCE - 12.0 + stars.m_h_B + stars.a_m_B)
    theta_B = layer.theta_B
    dissociation_B = 10.0 ** (13.820 - 11.795 * theta_B - 0.1722 * theta_B**2 + 0.0229 * theta_B**3)
    excess_B = oxygen_B - carbon_B - dissociation_B
    free_oxygen_B = 0.5 * (excess_B + np.sqrt(excess_B**2 + 4.0 * dissociation_B * oxygen_B))
    free_carbon_B = carbon_B / (1.0 + free_oxygen_B / dissociation_B)
    return np.log10(free_carbon_B), np.log10(free_oxygen_B)


def _titanium_oxide(stars: Stars, layer: Atmosphere) -> np.ndarray:
    """Optical depth (B,) of the strongest TiO head: titanium and free oxygen in equilibrium."""
    _, log_oxygen_B = _carbon_and_oxygen(stars, layer)
    titanium = SPECIES["Ti I"]
    theta_B = layer.theta_B
    log_dissociation_B = 13.398 - 8.5956 * theta_B + 0.4087 * theta_B**2 - 0.0579 * theta_B**3
    bound_B = 10.0 ** (log_oxygen_B - log_dissociation_B)
    neutral_B = 10.0 ** _log_stage_share(titanium, layer)
    share_B = bound_B * neutral_B / (1.0 + bound_B * neutral_B)
    return share_B * 10.0 ** (stars.m_h_B + stars.a_m_B - layer.log_opacity_B + _TIO_SCALE_DEX)


def _cyanogen(stars: Stars, layer: Atmosphere) -> np.ndarray:
    """Optical depth (B,) of the strongest CN head: the carbon that CO leaves, with nitrogen."""
    log_carbon_B, _ = _carbon_and_oxygen(stars, layer)
    theta_B = layer.theta_B
    log_dissociation_B = 12.699 - 8.0228 * theta_B + 0.0189 * theta_B**2
    log_share_B = log_carbon_B - log_dissociation_B + _NITROGEN_ABUNDANCE - 12.0 + stars.m_h_B
    # a lower level 0.9 eV up, as the bands of this window have
    return 10.0 ** (log_share_B - 0.9 * theta_B - layer.log_opacity_B + _CN_SCALE_DEX)


class SpectrumModel:
    """Noise-free spectra of late-type stars on one wavelength grid.

    Args:
        wave_angstrom_L: Pixel centres, air wavelengths.
    """

    def __init__(self, wave_angstrom_L: np.ndarray) -> None:
        self.wave_angstrom_L = wave_angstrom_L
        self._lines = atomic_lines()
        self._forest = forest_columns(*WAVE_RANGE_ANGSTROM)
        self._core_GL = self._core_templates()
        self._wing_GL = self._wing_templates()
        self._nodes_K = np.linspace(wave_angstrom_L[0], wave_angstrom_L[-1], _CONTINUUM_NODES)
        self._interpolate_KL = np.stack(
            [np.interp(wave_angstrom_L, self._nodes_K, row) for row in np.eye(_CONTINUUM_NODES)]
        )

    def flux(self, stars: Stars) -> np.ndarray:
        """Flux (B, L) in sky.FLUX_UNIT of stars dimmed to REFERENCE_MAG."""
        layer = _atmosphere(stars, _LINE_TEMPERATURE_SHARE)
        tau_BL = self._core_strengths(stars, layer) @ self._core_GL
        np.negative(tau_BL, out=tau_BL)
        np.exp(tau_BL, out=tau_BL)
        wings_BL = self._wing_strengths(stars, layer) @ self._wing_GL
        wings_BL += 1.0
        tau_BL /= wings_BL
        # continuum (1 - A) and continuum A vary smoothly with wavelength: computed at nodes, laid out by a product
        surface_BK, continuum_BK = self._surface_and_continuum(stars)
        tau_BL *= (continuum_BK - surface_BK) @ self._interpolate_KL
        tau_BL += surface_BK @ self._interpolate_KL
        return tau_BL

    def _surface_and_continuum(self, stars: Stars) -> tuple[np.ndarray, np.ndarray]:
        kelvin_B1 = stars.t_eff_kelvin_B[:, None]
        at_band_B1 = _planck(_MAG_BAND_ANGSTROM, kelvin_B1)
        scale_B1 = ab_flux(REFERENCE_MAG, _MAG_BAND_ANGSTROM) / at_band_B1
        surface_BK = scale_B1 * _planck(self._nodes_K, _SURFACE_TEMPERATURE_SHARE * kelvin_B1)
        return surface_BK, scale_B1 * _planck(self._nodes_K, kelvin_B1)

    def _core_templates(self) -> np.ndarray:
        wave_L = self.wave_angstrom_L
        named_GL = line_templates(wave_L, np.array([line.wave_angstrom for line in self._lines]))
        forest_GL = [line_templates(wave_L, column.wave_angstrom_K).sum(axis=0) for column in self._forest]
        bands_GL = [band_template(wave_L, TIO_HEADS, 7054), band_template(wave_L, CN_HEADS, 7876)]
        paschen_GL = [self._paschen_template(width) for width in _PASCHEN_WIDTHS_ANGSTROM]
        return np.concatenate([named_GL, np.stack(forest_GL + bands_GL + paschen_GL)])

    def _paschen_template(self, width_angstrom: float) -> np.ndarray:
        centre_K = paschen_lines_angstrom()
        upper_K = np.arange(11, 11 + centre_K.size)
        strength_K = (11.0 / upper_K) ** 3
        half_L = np.sqrt(profile_sigma(self.wave_angstrom_L) ** 2 + (0.5 * width_angstrom) ** 2)
        profile_KL = half_L / ((self.wave_angstrom_L - centre_K[:, None]) ** 2 + half_L**2) / np.pi
        return strength_K @ profile_KL

    def _wing_templates(self) -> np.ndarray:
        # Lorentz wings, levelled off inside the instrument's profile where the core template takes over
        level_L = (0.9 * profile_sigma(self.wave_angstrom_L)) ** 2
        centre_G = np.array([line.wave_angstrom for line in self._lines if line.damped])
        return 1.0 / ((self.wave_angstrom_L - centre_G[:, None]) ** 2 + level_L)

    def _core_strengths(self, stars: Stars, layer: Atmosphere) -> np.ndarray:
        molecules = _atmosphere(stars, _MOLECULE_TEMPERATURE_SHARE)
        columns_BG = np.empty((len(stars.log_g_B), len(self._core_GL)))
        for species_name, indices in self._by_species([line.species for line in self._lines]):
            lines = [self._lines[index] for index in indices]
            excitation_G = np.array([line.excitation_ev for line in lines])
            log_gf_G = np.array([line.log_gf for line in lines])
            wave_G = np.array([line.wave_angstrom for line in lines])
            columns_BG[:, indices] = _equivalent_widths(species_name, excitation_G, log_gf_G, wave_G, stars, layer)
        offset = len(self._lines)
        for species_name, indices in self._by_species([column.species for column in self._forest]):
            columns = [self._forest[index] for index in indices]
            excitation_G = np.array([column.excitation_ev for column in columns])
            log_eta_sun_G = np.array([column.log_eta_sun for column in columns])
            log_gf_G = log_eta_sun_G - _sun_log_opacity(species_name, excitation_G)
            columns_BG[:, indices + offset] = _equivalent_widths(
                species_name, excitation_G, log_gf_G, np.full(len(columns), 8000.0), stars, layer
            )
        for column, depth_B in ((-4, _titanium_oxide(stars, molecules)), (-3, _cyanogen(stars, molecules))):
            columns_BG[:, column] = depth_B / (1.0 + depth_B / _BAND_SATURATION)
        columns_BG[:, -2:] = _paschen_widths(layer)
        return columns_BG

    def _wing_strengths(self, stars: Stars, layer: Atmosphere) -> np.ndarray:
        columns = []
        for line in self._lines:
            if line.damped:
                species = SPECIES[line.species]
                log_eta_B = _log_line_opacity(species, np.array([line.excitation_ev]), stars, layer)[:, 0] + line.log_gf
                doppler_B = _doppler_angstrom(species, line.wave_angstrom, layer)[:, 0]
                ratio_B = _damping_ratio(line.species, line.wave_angstrom, doppler_B, layer)
                columns.append(10.0**log_eta_B * _WING_DEPTH * ratio_B * doppler_B**2 / np.sqrt(np.pi))
        return np.stack(columns, axis=1)

    @staticmethod
    def _by_species(names: list[str]) -> list[tuple[str, np.ndarray]]:
        return [(name, np.flatnonzero(np.array(names) == name)) for name in dict.fromkeys(names)]


def _planck(wave_angstrom: np.ndarray | float, kelvin: np.ndarray) -> np.ndarray:
    return 1.0 / (np.asarray(wave_angstrom) ** 5 * np.expm1(_PLANCK_C2_ANGSTROM_KELVIN / (wave_angstrom * kelvin)))


def _equivalent_widths(
    species_name: str,
    excitation_G: np.ndarray,
    log_gf_G: np.ndarray,
    wave_G: np.ndarray,
    stars: Stars,
    layer: Atmosphere,
) -> np.ndarray:
    species = SPECIES[species_name]
    eta_BG = 10.0 ** (_log_line_opacity(species, excitation_G, stars, layer) + log_gf_G)
    doppler_BG = _doppler_angstrom(species, wave_G, layer)
    width_BG = _saturated_width(eta_BG)
    if species_name not in DAMPED:  # those have explicit wings
        ratio_B = _damping_ratio(species_name, 8000.0, doppler_BG[:, 0], layer)
        width_BG = np.sqrt(width_BG**2 + 2.5 * ratio_B[:, None] * eta_BG)
    return width_BG * doppler_BG


def _sun_log_opacity(species_name: str, excitation_G: np.ndarray) -> np.ndarray:
    zero = np.zeros(1)
    sun = Stars(zero + _SUN_T_EFF_KELVIN, zero + _SUN_LOG_G, zero, zero, zero)
    return _log_line_opacity(SPECIES[species_name], excitation_G, sun, _atmosphere(sun, _LINE_TEMPERATURE_SHARE))[0]


def _paschen_widths(layer: Atmosphere) -> np.ndarray:
    """Equivalent widths (B, 2) of the narrow and the broad Paschen template: pressure moves them to the broad."""
    width_B = 10.0 ** (_PASCHEN_SCALE_DEX - 12.09 * layer.theta_B - layer.log_opacity_B)
    width_B /= 1.0 + width_B / _PASCHEN_SATURATION_ANGSTROM
    broad_B = 1.0 / (1.0 + 10.0 ** (-1.5 * (layer.log_electron_pressure_B - 0.3)))
    return np.stack([width_B * (1.0 - broad_B), width_B * broad_B], axis=1)
