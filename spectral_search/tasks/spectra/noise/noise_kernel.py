"""Normal deviates and noisy spectra on a CPU: one pass over the pixels, in machine code for the vectors of this CPU.

Two pixels half a spectrum apart get the two deviates of Box and Muller's transformation (Annals of Mathematical
Statistics 29, 610, 1958) of 32 random bits: 16 choose the radius and 16 the angle, so the largest deviate is 4.85.
The bits are a counter, the number of the pair, scrambled under two keys of the spectrum: there is no table, and no
state but the counter.

Over all radii the variance is 1 - 5e-6 and the kurtosis 2.9998; beyond 4 sigma lie 0.998 of what a normal distribution
has there, beyond 4.5 sigma 0.98. A deviate is off by 1e-5 at most, next to 0 by 4e-5; on CPUs without fused
multiplication and addition a quarter of them differs in the last digits, by up to 3e-6.

The program is written with `machine_code` when it is first needed.
Shape suffixes: N spectra, S spectra wanted, L pixels.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from spectral_search.train.compiled_program import CompiledOnce

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Program, Value

_GOLDEN, _OTHER = 0x9E3779B1, 0x85EBCA6B
"""Odd multipliers. The first is 2^32 over the golden ratio: numbers in sequence then differ in their high bits too."""
_LOG = (-0.81093055, -1.3333331, 0.44449016, -0.19755808, 0.09786483, -0.052139174, 0.034810048, -0.020018579)
"""-2 ln(x + 1.5) for x in [-0.5, 0.5), lowest power first: interpolated at Chebyshev's points, off by at most 6e-7."""
_SIN = (0.99999923, -0.16665676, 0.0083131912, -0.00018522539)
"""sin(x) / x in powers of x^2 for x in [0, pi / 2], likewise: off by at most 8e-7."""
_COS = (0.99999994, -0.49999905, 0.041663572, -0.0013853629, 2.3152417e-05)
"""cos(x) in powers of x^2, likewise: off by at most 7e-8."""
_MINUS_2_LN_2 = -2.0 * math.log(2.0)
_ANGLE_STEP = 0.5 * math.pi / 2**14
"""In rad: 14 bits divide a quadrant."""


def fill_deviates(out_SL: np.ndarray, first: int, seed_low: int, seed_high: int) -> None:
    """Normal deviates of rows first, first + 1, ... under a seed of 64 bits; `out_SL` is float32 and contiguous."""
    spectra, pixels = out_SL.shape
    _FUNCTIONS.get()["fill_deviates"](_target(out_SL), spectra, pixels, first, seed_low, seed_high)


def fill_noisy(
    flux_NL: np.ndarray,
    error_NL: np.ndarray,
    rows_S: np.ndarray,
    noise_level: float,
    first: int,
    seed_low: int,
    seed_high: int,
    noisy_SL: np.ndarray,
    error_SL: np.ndarray,
) -> None:
    """Gather rows (int64), flux and error, and add the noise that `fill_deviates` would draw; nothing ends below 0.

    All spectra are float32, and everything is contiguous.

    Raises:
        IndexError: There is no such row.
        ValueError: The shapes do not go together.
        TypeError: Another format, or another order in memory.
    """
    spectra, pixels = len(rows_S), flux_NL.shape[-1]
    shapes = flux_NL.shape, error_NL.shape, noisy_SL.shape, error_SL.shape
    if shapes != ((len(flux_NL), pixels),) * 2 + ((spectra, pixels),) * 2:
        raise ValueError(f"shapes that do not go together for {spectra} rows: {shapes}")
    # The machine code checks no bounds: a wrong row would read whatever lies there.
    if spectra and not 0 <= rows_S.min() <= rows_S.max() < len(flux_NL):
        raise IndexError(f"rows {rows_S.min()} to {rows_S.max()} of {len(flux_NL)} spectra")
    sources = _address(flux_NL, np.float32), _address(error_NL, np.float32), _address(rows_S, np.int64)
    seed = noise_level, first, seed_low, seed_high
    _FUNCTIONS.get()["fill_noisy"](*sources, spectra, pixels, *seed, _target(noisy_SL), _target(error_SL))


def _address(values: np.ndarray, kind: type[np.generic]) -> int:
    if values.dtype != kind or not values.flags.c_contiguous:
        order = "" if values.flags.c_contiguous else " in another order"
        raise TypeError(f"contiguous {np.dtype(kind)} values are needed, not {values.dtype}{order}")
    return values.ctypes.data


def _target(values: np.ndarray) -> int:
    # The machine code heeds no flag: writing to memory that is mapped for reading would end the process.
    if not values.flags.writeable:
        raise TypeError("an array to write to is needed, and this one is for reading")
    return _address(values, np.float32)


def _written() -> "Program":
    from spectral_search.train.machine_code import F32, F32_P, I32, I64, I64_P, Program

    program = Program()
    with program.function("fill_deviates", F32_P, I64, I64, I64, I32, I32) as (out, spectra, pixels, first, low, high):
        half, pairs = _split(pixels)
        with program.loop(spectra) as s:
            keys = _keys(first + s, low, high)
            left, right = out.at(s * pixels), out.at(s * pixels + half)
            with program.loop(pairs) as j:
                left[j], right[j] = _pair(j, *keys)
            with program.loop(half - pairs):
                left[pairs], _ = _pair(pairs, *keys)

    types = F32_P, F32_P, I64_P, I64, I64, F32, I64, I32, I32, F32_P, F32_P
    with program.function("fill_noisy", *types) as values:
        flux, error, rows, spectra, pixels, level, first, low, high, noisy, copied = values
        half, pairs = _split(pixels)
        with program.loop(spectra) as s:
            keys = _keys(first + s, low, high)
            sides = []
            for offset in (0, half):
                source, target = rows[s] * pixels + offset, s * pixels + offset
                sides.append((flux.at(source), error.at(source), noisy.at(target), copied.at(target)))

            def pixel(side: "tuple[Value, ...]", j: "Value", deviate: "Value") -> None:
                flux_L, error_L, noisy_L, copied_L = side
                copied_L[j] = error_L[j]
                noisy_L[j] = (flux_L[j] + level * error_L[j] * deviate).or_zero_if_negative()

            with program.loop(pairs) as j:
                for side, deviate in zip(sides, _pair(j, *keys), strict=True):
                    pixel(side, j, deviate)
            with program.loop(half - pairs):
                pixel(sides[0], pairs, _pair(pairs, *keys)[0])
    return program


_FUNCTIONS = CompiledOnce(_written)


def _split(pixels: "Value") -> "tuple[Value, Value]":
    """Where the right half begins, and how many pairs there are: one less if the last pixel of the left has none."""
    return (pixels + 1) >> 1, pixels >> 1


def _scrambled(x: "Value") -> "Value":
    """A permutation of the 32-bit numbers in which each bit of x changes each bit of the result about half of the time.

    The multipliers are those that C. Wellons found by search ("Prospecting for hash functions", 2018).
    """
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


def _keys(row: "Value", seed_low: "Value", seed_high: "Value") -> "tuple[Value, Value]":
    """The keys of a spectrum's deviates."""
    key = _scrambled(seed_low ^ (row.low_bits() * _GOLDEN))
    return key, _scrambled((key * _OTHER) ^ seed_high)


def _pair(number: "Value", key: "Value", other_key: "Value") -> "tuple[Value, Value]":
    """Two independent normal deviates for a counter and the keys of a spectrum."""
    bits = _scrambled(_scrambled(number.low_bits() * _GOLDEN + key) ^ other_key)
    # radius = sqrt(-2 ln(u)), u = (high bits + 0.5) / 2^16 = mantissa * 2^(exponent - 127 - 16)
    u_bits = ((bits >> 16).to_float() + 0.5).as_bits()
    mantissa = ((u_bits & 0x007FFFFF) | 0x3F800000).as_float()
    exponent = ((u_bits >> 23) - 143).to_float()
    radius = (_polynomial(_LOG, mantissa - 1.5) + exponent * _MINUS_2_LN_2).sqrt()
    # angle: 14 bits within a quadrant, and a sign each for sine and cosine
    angle = ((bits & 0x3FFF).to_float() + 0.5) * _ANGLE_STEP
    square = angle * angle
    sine = (angle * _polynomial(_SIN, square)).as_bits() ^ ((bits & 0x4000) << 17)
    cosine = _polynomial(_COS, square).as_bits() ^ ((bits & 0x8000) << 16)
    return radius * sine.as_float(), radius * cosine.as_float()


def _polynomial(coefficients: tuple[float, ...], x: "Value") -> "Value":
    """Horner's rule."""
    result = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        result = result * x + coefficient
    return result
