"""Mean and variance of noisy pixels: what Gaussian noise, clipped at 0, makes of a noise-free flux.

For noisy = max(f + e n, 0) with n from N(0, 1) and z = f / e, Phi and phi the normal distribution and its density:
mean = f Phi(z) + e phi(z), mean square = (f^2 + e^2) Phi(z) + f e phi(z). So (mean - f) / e and variance / e^2 are
functions of z alone, which beyond z = 5 are 0 and 1 within 1e-6. They are polynomials here, interpolated at
Chebyshev's points, off by at most 1e-6 and 1e-5; one pass over the pixels in machine code evaluates both.
Shape suffixes: P spectra of a piece, L pixels.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.train.compiled_program import CompiledOnce

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program, Value

_NO_SIGN, _TO_SIGN = 0x7FFFFFFF, 0x00800000
"""Of a float's bits: what is not finite, and nothing else, reaches the sign when the second is added."""
_LARGEST = 5.0
_DEGREE = 12


def fill_moments(
    flux_PL: np.ndarray,
    error_PL: np.ndarray,
    centre_L: np.ndarray,
    inverse_noise_L: np.ndarray,
    noise_level: float,
    mean_PL: np.ndarray,
    variance_PL: np.ndarray,
    factor: float = 1.0,
) -> None:
    """Moments of whitened noisy spectra, (noisy - centre) / s_noise, written to two arrays.

    Args:
        flux_PL: Noise-free flux; below 0 it counts as 0.
        error_PL: 1-sigma error in the unit of the flux. Pixels whose error is not above 0, and those of which either is
            not finite, lie at the centre and have no variance.
        centre_L: What is subtracted.
        inverse_noise_L: 1 / s_noise; 0 at masked pixels.
        noise_level: Factor on the error.
        mean_PL: Filled with the means.
        variance_PL: Filled with the variances.
        factor: What flux and error are multiplied by before anything else, to be in the unit of the centre.

    Raises:
        ValueError: The shapes do not go together.
        TypeError: An array is not float32 and contiguous.
    """
    spectra, pixels = flux_PL.shape
    if any(values.shape != (spectra, pixels) for values in (error_PL, mean_PL, variance_PL)) or any(
        values.shape != (pixels,) for values in (centre_L, inverse_noise_L)
    ):
        raise ValueError("shapes that do not go together")
    arrays = flux_PL, error_PL, centre_L, inverse_noise_L, mean_PL, variance_PL
    if any(values.dtype != np.float32 or not values.flags.c_contiguous for values in arrays):
        raise TypeError("contiguous float32 values are needed")
    addresses = [values.ctypes.data for values in arrays]
    _FUNCTIONS.get()["fill_moments"](*addresses[:4], factor, noise_level, spectra, pixels, *addresses[4:])


def shift_and_variance(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean - f) / e and variance / e^2 of a clipped pixel with f / e = z, in float64: the formulas themselves."""
    phi = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    below = 0.5 * (1.0 + np.vectorize(math.erf)(z / math.sqrt(2.0)))
    mean = z * below + phi
    return mean - z, (z * z + 1.0) * below + z * phi - mean * mean


def compile_moments() -> None:
    """Compile now what `fill_moments` would compile when it is first called."""
    _FUNCTIONS.get()


def _written() -> "Program":
    from spectral_search.train.machine_code import F32, F32_P, I64, Program

    shift, variance = _polynomials()
    program = Program()
    types = F32_P, F32_P, F32_P, F32_P, F32, F32, I64, I64, F32_P, F32_P
    with program.function("fill_moments", *types) as values:
        flux, error, centre, inverse, factor, level, spectra, pixels, mean, var = values
        with program.loop(spectra) as s:
            flux_L, error_L, mean_L, var_L = (values_PL.at(s * pixels) for values_PL in (flux, error, mean, var))
            with program.loop(pixels) as j:
                f, e = (flux_L[j] * factor).or_zero_if_negative(), error_L[j] * factor * level
                x = (f / e).at_most(_LARGEST) * (2.0 / _LARGEST) - 1.0
                shifted = (f + e * _horner(shift, x) - centre[j]) * inverse[j]
                whitened = e * inverse[j]
                valid = _is_valid(flux_L[j], error_L[j])
                mean_L[j] = shifted.or_zero_unless(valid)
                var_L[j] = (_horner(variance, x) * whitened * whitened).or_zero_unless(valid)
    return program


def _is_valid(flux: "Value", error: "Value") -> "Value":
    # The error's bits less 1 have the sign where it is below 0 and where it is 0.
    bits, error_bits = flux.as_bits(), error.as_bits()
    marked = (error_bits - 1) | (error_bits + _TO_SIGN) | ((bits & _NO_SIGN) + _TO_SIGN)
    return marked.is_at_least_zero()


def _horner(coefficients: list[float], x: "Value") -> "Value":
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result = result * x + coefficient
    return result


def _polynomials() -> tuple[list[float], list[float]]:
    """Coefficients in powers of x = 2 z / 5 - 1, lowest first."""

    def coefficients(part: int) -> list[float]:
        found = np.polynomial.Chebyshev.interpolate(
            lambda x: shift_and_variance((x + 1.0) * 0.5 * _LARGEST)[part], _DEGREE
        )
        return [float(value) for value in found.convert(kind=np.polynomial.Polynomial).coef]

    return coefficients(0), coefficients(1)


_FUNCTIONS = CompiledOnce(_written)
