"""What lies between a star and its spectrum: night sky, atmosphere, telescope and detector, as a noise model.

Numbers are those of a fibre spectrograph on an 8.2 m telescope with a medium-resolution red arm (Subaru PFS), rounded.
Fluxes are in FLUX_UNIT. Shape suffixes: B spectra, L pixels.
"""

from dataclasses import dataclass

import numpy as np

from spectral_search.tasks.spectra.simulator.spectral_lines import line_templates

FLUX_UNIT = "1e-18 erg s^-1 cm^-2 Angstrom^-1"
_EXPOSURE_SECONDS = 6000.0
_EXPOSURES = 6
_TELESCOPE_AREA_CM2 = 5.1e5
_PEAK_THROUGHPUT = 0.24
_FIBRE_APERTURE_SHARE = 0.65
_FIBRE_AREA_ARCSEC2 = 1.0
_READ_NOISE_ELECTRONS = 3.6
_TRACE_WIDTH_PIXELS = 5.0
_SKY_CONTINUUM_AB_PER_ARCSEC2 = 20.4
# Sky subtraction is never perfect: the residual of a bright OH line adds this share of its counts in quadrature.
_SKY_RESIDUAL_SHARE = 0.01
_ERG_ANGSTROM = 1.98645e-8  # h c, so that a photon's energy is ERG_ANGSTROM / wavelength

# OH lines of the night sky, air Å (Osterbrock et al. 1996), and their relative brightness
_OH: tuple[tuple[float, float], ...] = (
    (7240.0, 0.15), (7276.4, 0.60), (7284.4, 0.40), (7303.7, 0.35), (7316.3, 0.80), (7329.1, 0.50), (7340.9, 0.95),
    (7358.7, 0.35), (7369.3, 0.60), (7392.2, 0.25), (7401.9, 0.35), (7438.0, 0.10), (7524.1, 0.25), (7571.7, 0.15),
    (7712.0, 0.20), (7715.9, 0.25), (7750.6, 1.00), (7760.0, 0.30), (7780.4, 0.35), (7794.1, 1.00), (7808.5, 0.55),
    (7821.5, 0.85), (7841.3, 0.55), (7853.2, 0.65), (7870.7, 0.25), (7890.0, 0.25), (7913.7, 1.60), (7921.0, 0.60),
    (7949.2, 0.75), (7964.6, 1.40), (7993.3, 1.50), (8014.1, 0.60), (8025.8, 0.95), (8052.0, 0.35), (8062.2, 0.50),
    (8104.8, 0.15), (8279.0, 0.35), (8288.6, 0.75), (8298.6, 0.45), (8310.7, 0.60), (8344.6, 1.70), (8352.8, 0.70),
    (8382.4, 1.00), (8399.2, 2.20), (8415.2, 0.95), (8430.2, 2.20), (8452.3, 1.20), (8465.4, 1.50), (8493.4, 1.00),
    (8504.7, 1.20), (8538.7, 0.40), (8548.7, 0.50), (8590.0, 0.20), (8634.0, 0.10), (8703.0, 0.20), (8709.0, 0.15),
    (8758.2, 0.35), (8761.3, 0.55), (8767.9, 1.10), (8778.3, 1.30), (8791.2, 1.40), (8805.0, 0.50), (8811.0, 0.55),
    (8827.1, 2.00), (8836.1, 1.10), (8850.1, 1.20),
)  # fmt: skip
_OH_BRIGHTEST_PHOTONS = 150.0  # photons s^-1 m^-2 arcsec^-2 of a line of relative brightness 1, times 1e-2

# absorption bands of the atmosphere: centre, half-width, depth (Å, Å, share); O2 A band, H2O bands
_TELLURIC: tuple[tuple[float, float, float], ...] = (
    (7186.0, 28.0, 0.20), (7240.0, 60.0, 0.15), (7300.0, 40.0, 0.08), (7605.0, 11.0, 0.75), (7632.0, 30.0, 0.45),
    (8140.0, 40.0, 0.10), (8220.0, 60.0, 0.14), (8290.0, 35.0, 0.09),
)  # fmt: skip


@dataclass(frozen=True)
class NoiseModel:
    """Per-pixel counts of one visit, precomputed for a wavelength grid.

    Args:
        electrons_per_flux_L: electrons that a flux of one FLUX_UNIT gives in each pixel.
        background_variance_L: variance (electrons^2) of sky photons, sky residuals and read noise.
    """

    electrons_per_flux_L: np.ndarray
    background_variance_L: np.ndarray

    def error(self, flux_BL: np.ndarray) -> np.ndarray:
        """One sigma (FLUX_UNIT) of each pixel for a true flux that reaches the telescope."""
        variance_BL = flux_BL * self.electrons_per_flux_L
        variance_BL += self.background_variance_L
        np.sqrt(variance_BL, out=variance_BL)
        variance_BL /= self.electrons_per_flux_L
        return variance_BL


def ab_flux(mag: np.ndarray | float, wave_angstrom: np.ndarray | float) -> np.ndarray:
    """Flux density in FLUX_UNIT of an AB magnitude at a wavelength."""
    flux_nu = 3.631e-20 * 10.0 ** (-0.4 * np.asarray(mag))
    return flux_nu * 2.99792e18 / np.asarray(wave_angstrom) ** 2 / 1e-18


def _transmission(wave_angstrom_L: np.ndarray) -> np.ndarray:
    """Share of light that the atmosphere, telescope and spectrograph pass: a smooth arm with telluric bands."""
    arm_L = _PEAK_THROUGHPUT * (1.0 - 0.45 * ((wave_angstrom_L - 8050.0) / 1000.0) ** 2)
    for centre, width, depth in _TELLURIC:
        arm_L = arm_L * (1.0 - depth * np.exp(-0.5 * ((wave_angstrom_L - centre) / width) ** 2))
    return arm_L


def build_noise_model(wave_angstrom_L: np.ndarray, width_angstrom_L: np.ndarray) -> NoiseModel:
    """Counts for pixels at `wave_angstrom_L` that are `width_angstrom_L` wide."""
    through_L = _transmission(wave_angstrom_L)
    photons_L = _TELESCOPE_AREA_CM2 * _EXPOSURE_SECONDS * wave_angstrom_L / _ERG_ANGSTROM * width_angstrom_L * 1e-18
    star_L = photons_L * through_L * _FIBRE_APERTURE_SHARE
    continuum_L = ab_flux(_SKY_CONTINUUM_AB_PER_ARCSEC2, wave_angstrom_L) * photons_L * through_L * _FIBRE_AREA_ARCSEC2
    centre_K, brightness_K = np.array(_OH).T
    lines_L = brightness_K @ line_templates(wave_angstrom_L, centre_K) * width_angstrom_L
    lines_L *= _OH_BRIGHTEST_PHOTONS * 1e-2 * _TELESCOPE_AREA_CM2 * 1e-4 * _EXPOSURE_SECONDS * through_L
    # reading happens per pixel of the detector whatever the width of ours: scale by what a native 0.427 Å pixel holds
    read_L = _READ_NOISE_ELECTRONS**2 * _TRACE_WIDTH_PIXELS * _EXPOSURES * width_angstrom_L / 0.427
    variance_L = continuum_L + lines_L + (_SKY_RESIDUAL_SHARE * lines_L) ** 2 + read_L
    return NoiseModel(star_L, variance_L)
