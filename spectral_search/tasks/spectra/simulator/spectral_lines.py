"""Spectral lines and molecular bands between 7100 and 8850 Å, as the simulator knows them.

All wavelengths are in air. Atomic data are rounded, of the kind that NIST and VALD list, not checked line by line;
log gf of the weaker lines is good to a few tenths. Band heads follow the usual identifications in cool stars, to a few
angstrom. The forest is not a line list: it is drawn once from a fixed seed so that its density, excitation and
strengths look right.

Shape suffixes: K lines, G columns of the forest.
"""

from dataclasses import dataclass

import numpy as np

_FOREST_SEED = 7100_8850
_RESOLUTION = 5000.0  # wavelength over FWHM of the instrument's profile, PFS medium resolution
_RYDBERG_HYDROGEN_PER_ANGSTROM = 1.0967758e-3


@dataclass(frozen=True)
class Species:
    """One ionisation stage of an element.

    Args:
        abundance: log10 of the solar number abundance, hydrogen = 12 (Asplund et al. 2009).
        ionisation_ev: first ionisation energy of the element.
        partition: partition function of the stage that absorbs, near 5000 K.
        partition_ratio: partition function of the ion over that of the atom.
        ionised: the absorbing stage is the ion.
        alpha: the abundance follows [a/M] as well as [M/H].
        atomic_mass: in atomic mass units, for the thermal width.
    """

    abundance: float
    ionisation_ev: float
    partition: float
    partition_ratio: float
    ionised: bool
    alpha: bool
    atomic_mass: float


SPECIES: dict[str, Species] = {
    "Na I": Species(6.24, 5.139, 2.0, 0.5, False, False, 23.0),
    "Mg I": Species(7.60, 7.646, 1.0, 2.0, False, True, 24.3),
    "Al I": Species(6.45, 5.986, 5.9, 0.17, False, False, 27.0),
    "Si I": Species(7.51, 8.152, 9.5, 0.6, False, True, 28.1),
    "K I": Species(5.03, 4.341, 2.1, 0.48, False, False, 39.1),
    "Ca I": Species(6.34, 6.113, 1.2, 1.8, False, True, 40.1),
    "Ca II": Species(6.34, 6.113, 2.2, 1.8, True, True, 40.1),
    "Ti I": Species(4.95, 6.828, 30.0, 1.8, False, True, 47.9),
    "Ti II": Species(4.95, 6.828, 55.0, 1.8, True, True, 47.9),
    "V I": Species(3.93, 6.746, 45.0, 0.9, False, False, 50.9),
    "Cr I": Species(5.64, 6.767, 10.4, 0.7, False, False, 52.0),
    "Fe I": Species(7.50, 7.902, 27.0, 1.6, False, False, 55.8),
    "Fe II": Species(7.50, 7.902, 43.0, 1.6, True, False, 55.8),
    "Ni I": Species(6.22, 7.640, 30.0, 0.35, False, False, 58.7),
    "O I": Species(8.69, 13.618, 8.7, 0.45, False, True, 16.0),
}

# species, wavelength (Å), excitation energy of the lower level (eV), log gf
_ATOMIC: dict[str, tuple[tuple[float, float, float], ...]] = {
    "Ca II": ((8498.02, 1.692, -1.416), (8542.09, 1.700, -0.463), (8662.14, 1.692, -0.723)),
    "Na I": ((8183.26, 2.102, 0.237), (8194.82, 2.104, 0.532)),
    "K I": ((7664.90, 0.0, 0.135), (7698.96, 0.0, -0.168)),
    "Mg I": (
        (8806.76, 4.346, -0.134), (7387.69, 5.753, -0.98), (7657.60, 5.108, -1.27), (7691.55, 5.753, -0.78),
        (8209.84, 5.753, -1.60), (8213.03, 5.753, -0.51), (8473.69, 5.932, -1.60), (8712.69, 5.932, -1.26),
        (8717.83, 5.933, -0.86), (8736.02, 5.946, -0.36),
    ),
    "Al I": ((7835.31, 4.022, -0.65), (7836.13, 4.022, -0.49), (8772.87, 4.022, -0.32), (8773.90, 4.022, -0.16)),
    "Si I": (
        (7165.55, 5.871, -0.65), (7226.21, 5.614, -1.40), (7235.33, 5.614, -1.38), (7250.63, 5.619, -0.95),
        (7275.29, 5.616, -0.95), (7289.17, 5.616, -0.20), (7405.77, 5.614, -0.72), (7409.08, 5.616, -0.80),
        (7415.95, 5.616, -0.75), (7423.50, 5.619, -0.58), (7680.27, 5.863, -0.59), (7918.38, 5.954, -0.61),
        (7932.35, 5.964, -0.47), (7944.00, 5.984, -0.31), (8443.97, 5.871, -1.30), (8501.55, 5.871, -1.40),
        (8502.22, 5.871, -0.92), (8556.78, 5.871, -0.15), (8648.46, 6.206, -0.10), (8728.01, 6.181, -0.36),
        (8742.45, 5.871, -0.45), (8752.01, 5.871, -0.30),
    ),
    "Ca I": ((7148.15, 2.709, 0.137), (7202.20, 2.709, -0.262), (7326.15, 2.933, -0.208)),
    "Ti I": (
        (7209.44, 1.460, -0.50), (7216.18, 1.443, -1.15), (7244.86, 1.443, -0.90), (7251.71, 1.430, -0.77),
        (7344.69, 1.460, -0.99), (7357.73, 1.443, -1.12), (7364.10, 1.430, -1.24), (7949.15, 1.502, -1.46),
        (7978.85, 1.873, -1.25), (8024.84, 1.879, -1.14), (8364.24, 0.836, -1.76), (8377.86, 0.826, -1.62),
        (8382.53, 0.818, -1.63), (8396.90, 0.813, -1.78), (8412.36, 0.818, -1.46), (8426.51, 0.826, -1.25),
        (8434.96, 0.848, -0.89), (8435.65, 0.836, -1.02), (8518.03, 1.879, -0.94), (8518.35, 2.135, -0.90),
        (8548.08, 1.873, -1.18), (8675.37, 1.067, -1.67), (8682.98, 1.053, -1.94), (8692.33, 1.046, -2.30),
        (8734.71, 1.053, -2.38),
    ),
    "Fe I": (
        (7130.92, 4.217, -0.79), (7164.44, 4.191, -0.73), (7187.32, 4.103, -0.25), (7207.38, 4.154, -0.55),
        (7223.66, 3.017, -2.21), (7389.40, 4.301, -0.46), (7411.15, 4.283, -0.30), (7445.75, 4.256, -0.10),
        (7495.07, 4.220, 0.05), (7511.02, 4.178, 0.10), (7531.14, 4.371, -0.56), (7568.90, 4.283, -0.88),
        (7583.79, 3.018, -1.89), (7586.02, 4.313, -0.46), (7710.36, 4.220, -1.11), (7723.20, 2.279, -3.62),
        (7748.27, 2.949, -1.75), (7780.55, 4.473, 0.03), (7832.20, 4.435, 0.11), (7912.87, 0.859, -4.85),
        (7937.13, 4.313, 0.22), (7945.85, 4.387, 0.22), (7998.94, 4.371, 0.15), (8028.31, 4.473, -0.69),
        (8046.05, 4.415, 0.03), (8075.15, 0.915, -5.06), (8085.17, 4.446, -0.12), (8207.75, 4.446, -0.86),
        (8220.38, 4.320, 0.26), (8239.13, 2.424, -3.18), (8248.13, 4.371, -0.90), (8293.51, 3.301, -2.20),
        (8327.06, 2.198, -1.53), (8339.40, 4.473, -1.10), (8365.63, 3.251, -2.04), (8387.77, 2.176, -1.49),
        (8439.57, 4.549, -0.59), (8468.41, 2.223, -2.07), (8514.07, 2.198, -2.23), (8515.11, 3.018, -2.07),
        (8526.67, 4.913, -0.76), (8582.26, 2.990, -2.13), (8611.80, 2.845, -1.93), (8621.60, 2.949, -2.32),
        (8661.90, 2.223, -1.45), (8674.75, 2.831, -1.80), (8688.62, 2.176, -1.21), (8699.45, 4.955, -0.38),
        (8710.39, 4.913, -0.55), (8757.19, 2.845, -2.03), (8763.97, 4.652, -0.15), (8793.34, 4.607, -0.09),
        (8804.62, 2.279, -3.23), (8824.22, 2.198, -1.54), (8838.43, 2.858, -1.98),
    ),
    "Fe II": ((7222.39, 3.889, -3.26), (7224.49, 3.889, -3.20), (7449.33, 3.889, -3.27), (7515.83, 3.903, -3.43),
              (7711.72, 3.903, -2.54)),
    "Ni I": (
        (7122.20, 3.542, 0.04), (7393.60, 3.606, -0.27), (7409.35, 3.796, -0.10), (7414.50, 1.986, -2.57),
        (7422.27, 3.635, -0.14), (7522.76, 3.658, -0.40), (7525.12, 3.635, -0.52), (7555.60, 3.847, 0.05),
        (7574.05, 3.833, -0.45), (7617.00, 3.655, -1.00), (7714.31, 1.935, -2.20), (7727.62, 3.679, -0.17),
        (7748.89, 3.706, -0.18), (7788.94, 1.951, -1.75), (7797.59, 3.898, -0.18), (8770.67, 2.740, -2.47),
    ),
    "O I": ((7771.94, 9.146, 0.37), (7774.17, 9.146, 0.22), (7775.39, 9.146, 0.00), (8446.36, 9.521, 0.24),
            (8446.76, 9.521, 0.01)),
}  # fmt: skip

# log10 of the van der Waals width per perturber at 10,000 K (s^-1 cm^3) and the radiative width (s^-1) of the lines
# whose damping wings are wider than the instrument's profile; values as in the Anstee-Barklem-O'Mara tables.
DAMPED: dict[str, tuple[float, float]] = {
    "Ca II": (-7.68, 1.5e8),
    "Na I": (-7.23, 0.7e8),
    "K I": (-7.44, 0.4e8),
    "Mg I": (-7.36, 0.9e8),
}
_DAMPED_MG_ANGSTROM = 8806.76  # the other Mg I lines are too weak to have wings

# head (Å), relative strength, e-folding width to the red (Å)
TIO_HEADS: tuple[tuple[float, float, float], ...] = (
    (7054.2, 1.00, 75.0), (7087.6, 0.85, 70.0), (7125.6, 0.65, 85.0), (7589.3, 0.35, 60.0), (7627.8, 0.30, 60.0),
    (7666.0, 0.30, 70.0), (7705.0, 0.22, 70.0), (7743.0, 0.10, 60.0), (7782.0, 0.08, 60.0), (8205.0, 0.12, 70.0),
    (8251.0, 0.08, 60.0), (8303.0, 0.07, 60.0), (8432.0, 0.30, 60.0), (8442.0, 0.30, 70.0), (8452.0, 0.22, 80.0),
)  # fmt: skip
CN_HEADS: tuple[tuple[float, float, float], ...] = (
    (7090.0, 0.25, 90.0), (7259.0, 0.20, 90.0), (7437.0, 0.15, 90.0), (7876.0, 0.80, 110.0), (7908.0, 0.80, 120.0),
    (8067.0, 0.70, 110.0), (8108.0, 0.60, 120.0), (8270.0, 0.50, 120.0), (8485.0, 0.35, 120.0),
)  # fmt: skip

# species, excitation energies (eV), lines in the window, log10 of the strongest line's central opacity in the Sun
_FOREST: tuple[tuple[str, tuple[float, ...], int, float], ...] = (
    ("Fe I", (2.4, 3.3, 4.2, 5.0), 1220, 0.1),
    ("Ti I", (0.8, 1.6, 2.3), 500, -0.2),
    ("V I", (0.3, 1.1, 2.2), 350, -0.6),
    ("Cr I", (2.5, 3.4), 300, -0.3),
    ("Ni I", (2.7, 3.8, 5.3), 350, 0.0),
    ("Si I", (5.9, 6.2), 220, 0.1),
    ("Ca I", (2.9, 4.5), 90, -0.1),
    ("Fe II", (3.9,), 60, -0.3),
    ("Ti II", (1.6, 3.1), 40, -0.5),
)
_FOREST_CLASSES_DEX = (0.0, -0.6, -1.2, -1.8)
_FOREST_SHARES = (0.06, 0.14, 0.30, 0.50)


@dataclass(frozen=True)
class Line:
    """One atomic line: species name, air wavelength, excitation of the lower level, log gf, damping wings or not."""

    species: str
    wave_angstrom: float
    excitation_ev: float
    log_gf: float
    damped: bool


@dataclass(frozen=True)
class ForestColumn:
    """Weak lines of one species, excitation and strength: they grow and saturate together."""

    species: str
    excitation_ev: float
    log_eta_sun: float
    wave_angstrom_K: np.ndarray


def atomic_lines() -> list[Line]:
    """The named lines, in a fixed order."""
    return [
        Line(
            species, wave, excitation, log_gf, species in DAMPED and (species != "Mg I" or wave == _DAMPED_MG_ANGSTROM)
        )
        for species, rows in _ATOMIC.items()
        for wave, excitation, log_gf in rows
    ]


def forest_columns(low_angstrom: float, high_angstrom: float) -> list[ForestColumn]:
    """The metal forest: always the same lines, because the seed is a constant of the model."""
    rng = np.random.Generator(np.random.PCG64(_FOREST_SEED))
    columns = []
    for species, excitations, count, strongest in _FOREST:
        for excitation in excitations:
            for offset, share in zip(_FOREST_CLASSES_DEX, _FOREST_SHARES, strict=True):
                lines = max(1, round(count * share / len(excitations)))
                wave_angstrom_K = rng.uniform(low_angstrom, high_angstrom, lines)
                columns.append(ForestColumn(species, excitation, strongest + offset, wave_angstrom_K))
    return columns


def paschen_lines_angstrom(first: int = 11, last: int = 24) -> np.ndarray:
    """Air wavelengths of the Paschen lines n -> 3 from the Rydberg formula: 8862.8 Å for n = 11 down to the limit."""
    upper = np.arange(first, last + 1, dtype=np.float64)
    vacuum = 1.0 / (_RYDBERG_HYDROGEN_PER_ANGSTROM * (1.0 / 9.0 - 1.0 / upper**2))
    return vacuum / _refractive_index(vacuum)


def _refractive_index(vacuum_angstrom: np.ndarray) -> np.ndarray:
    """Refractive index of standard air (Ciddor 1996)."""
    sigma2 = (1e4 / vacuum_angstrom) ** 2
    return 1.0 + 0.05792105 / (238.0185 - sigma2) + 0.00167917 / (57.362 - sigma2)


def profile_sigma(wave_angstrom_L: np.ndarray) -> np.ndarray:
    """Gaussian sigma (Å) of the instrument at each pixel: resolution and the pixel's own width in quadrature."""
    instrument_L = wave_angstrom_L / _RESOLUTION / 2.35482
    pixel_L = np.gradient(wave_angstrom_L)
    return np.sqrt(instrument_L**2 + pixel_L**2 / 12.0)


def line_templates(wave_angstrom_L: np.ndarray, centre_angstrom_K: np.ndarray) -> np.ndarray:
    """Instrumental profiles (K, L) of unit area (Å^-1) around each centre."""
    sigma_L = profile_sigma(wave_angstrom_L)
    scaled_KL = (wave_angstrom_L - centre_angstrom_K[:, None]) / sigma_L
    return np.exp(-0.5 * scaled_KL**2) / (np.sqrt(2.0 * np.pi) * sigma_L)


def band_template(
    wave_angstrom_L: np.ndarray, heads: tuple[tuple[float, float, float], ...], ripple_seed: int
) -> np.ndarray:
    """Opacity (L,) of a molecular system, 1 at its strongest head: sharp heads, red tails, rotational ripples."""
    sigma_L = profile_sigma(wave_angstrom_L)
    band_L = np.zeros_like(wave_angstrom_L)
    for head, strength, width in heads:
        distance_L = wave_angstrom_L - head
        rise_L = 0.5 * (1.0 + np.tanh(distance_L / (1.2 * sigma_L)))
        band_L += strength * rise_L * np.exp(-np.clip(distance_L, 0.0, None) / width)
    rng = np.random.Generator(np.random.PCG64(ripple_seed))
    ripple_K = rng.uniform(wave_angstrom_L[0], wave_angstrom_L[-1], 900)
    ripple_L = line_templates(wave_angstrom_L, ripple_K).sum(axis=0)
    band_L *= 0.6 + 0.4 * ripple_L / ripple_L.mean()
    return band_L
