"""Normal deviates and noisy spectra on a CPU: one pass over the pixels, compiled by numba for the machine it runs on.

Two pixels half a spectrum apart get the two deviates of Box and Muller's transformation (Annals of Mathematical
Statistics 29, 610, 1958) of 32 random bits: 16 choose the radius and 16 the angle, so the largest deviate is 4.85.
The bits are a counter, the number of the pair, scrambled under two keys of the spectrum. Every step is one of which
compilers make operations on vectors; there is no table, and no state but the counter.

What is compiled is kept beside this file, or in the user's cache where that cannot be written.
Shape suffixes: N spectra, S spectra wanted, L pixels.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types

u32, i32, f32 = np.uint32, np.int32, np.float32  # numba widens integers unless told each time

GOLDEN = u32(0x9E3779B1)
"""2^32 over the golden ratio: multiplied by it, numbers in sequence differ in their high bits too."""
LOG = tuple(
    f32(c)
    for c in (-0.81093055, -1.3333331, 0.44449016, -0.19755808, 0.09786483, -0.052139174, 0.034810048, -0.020018579)
)
"""-2 ln(x + 1.5) for x in [-0.5, 0.5), lowest power first: interpolated at Chebyshev's points, off by at most 5e-7."""
SIN = tuple(f32(c) for c in (0.99999923, -0.16665676, 0.0083131912, -0.00018522539))
"""sin(x) / x in powers of x^2 for x in [0, pi / 2], likewise: off by at most 8e-7."""
COS = tuple(f32(c) for c in (0.99999994, -0.49999905, 0.041663572, -0.0013853629, 2.3152417e-05))
"""cos(x) in powers of x^2, likewise: off by at most 6e-8."""
MINUS_2_LN_2 = f32(-2.0 * math.log(2.0))
QUADRANT = f32(0.5 * math.pi / 2**14)

OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
_read_NL = types.Array(types.float32, 2, "C", readonly=True)
_write_SL = types.Array(types.float32, 2, "C")
_rows_S = types.Array(types.int64, 1, "C", readonly=True)


def _compiled(*signature: types.Type) -> Callable[[Callable[..., None]], Any]:
    """Compile at once for these types; fused multiplication and addition is the only liberty taken with floats."""

    def compiled(function: Callable[..., None]) -> Any:
        try:
            return njit(types.void(*signature), cache=True, **OPTIONS)(function)
        except RuntimeError:  # no folder that a cache could be kept in
            return njit(types.void(*signature), **OPTIONS)(function)

    return compiled


@njit(**OPTIONS)
def _scrambled(x):  # type: ignore[no-untyped-def]
    """A permutation of the 32-bit numbers in which each bit of x changes each bit of the result half of the time.

    The multipliers are those that C. Wellons found by search ("Prospecting for hash functions", 2018).
    """
    x = u32(u32(x ^ (x >> u32(16))) * u32(0x7FEB352D))
    x = u32(u32(x ^ (x >> u32(15))) * u32(0x846CA68B))
    return u32(x ^ (x >> u32(16)))


@njit(**OPTIONS)
def _pair(number, key, other_key):  # type: ignore[no-untyped-def]
    """Two independent normal deviates for a counter and the keys of a spectrum."""
    bits = _scrambled(u32(_scrambled(u32(u32(number) * GOLDEN + key)) ^ other_key))
    # radius = sqrt(-2 ln(u)), u = (high bits + 0.5) / 2^16 = mantissa * 2^(exponent - 127 - 16)
    u = f32(i32(bits >> u32(16))) + f32(0.5)
    u_bits = f32(u).view(i32)
    x = i32((u_bits & i32(0x007FFFFF)) | i32(0x3F800000)).view(f32) - f32(1.5)
    c = LOG
    log = c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * (c[4] + x * (c[5] + x * (c[6] + x * c[7]))))))
    radius = np.sqrt(log + MINUS_2_LN_2 * f32(i32(i32(u_bits >> i32(23)) - i32(143))))
    # angle: 14 bits within a quadrant, and a sign each for sine and cosine
    low = i32(bits & u32(0xFFFF))
    angle = QUADRANT * (f32(i32(low & i32(0x3FFF))) + f32(0.5))
    y = angle * angle
    sine = angle * (SIN[0] + y * (SIN[1] + y * (SIN[2] + y * SIN[3])))
    cosine = COS[0] + y * (COS[1] + y * (COS[2] + y * (COS[3] + y * COS[4])))
    sine = i32(f32(sine).view(i32) ^ i32((low & i32(0x4000)) << i32(17))).view(f32)
    cosine = i32(f32(cosine).view(i32) ^ i32((low & i32(0x8000)) << i32(16))).view(f32)
    return radius * sine, radius * cosine


@njit(**OPTIONS)
def _keys(seed_low, seed_high, row):  # type: ignore[no-untyped-def]
    """The keys of a spectrum's deviates."""
    key = _scrambled(u32(seed_low ^ u32(u32(row) * GOLDEN)))
    return key, _scrambled(u32(key ^ seed_high))


@njit(**OPTIONS)
def _noisy(flux, error, level, deviate):  # type: ignore[no-untyped-def]
    noisy = flux + level * error * deviate
    return f32(0.0) if noisy < f32(0.0) else noisy


@_compiled(_write_SL, types.int64, types.uint32, types.uint32)
def fill_deviates(out_SL, first, seed_low, seed_high):  # type: ignore[no-untyped-def]
    """Normal deviates of rows first, first + 1, ... under a seed of 64 bits."""
    pixels = out_SL.shape[1]
    half = (pixels + 1) // 2
    for s in range(out_SL.shape[0]):
        key, other_key = _keys(seed_low, seed_high, first + s)
        left, right = out_SL[s, :half], out_SL[s, half:]
        for j in range(right.shape[0]):
            left[j], right[j] = _pair(j, key, other_key)
        if pixels % 2:
            left[half - 1], _ = _pair(half - 1, key, other_key)


@_compiled(_read_NL, _read_NL, _rows_S, types.float32, types.int64, types.uint32, types.uint32, _write_SL, _write_SL)
def fill_noisy(flux_NL, error_NL, rows_S, level, first, seed_low, seed_high, noisy_SL, error_SL):  # type: ignore[no-untyped-def]
    """Gather rows and add the noise that `fill_deviates` would draw; an `error_SL` without rows is left alone."""
    pixels = flux_NL.shape[1]
    half = (pixels + 1) // 2
    for s in range(rows_S.shape[0]):
        key, other_key = _keys(seed_low, seed_high, first + s)
        row = rows_S[s]
        left_flux, right_flux = flux_NL[row, :half], flux_NL[row, half:]
        left_error, right_error = error_NL[row, :half], error_NL[row, half:]
        left, right = noisy_SL[s, :half], noisy_SL[s, half:]
        left_copy, right_copy = error_SL[s, :half], error_SL[s, half:]
        for j in range(right.shape[0]):
            deviate, other = _pair(j, key, other_key)
            left[j] = _noisy(left_flux[j], left_error[j], level, deviate)
            right[j] = _noisy(right_flux[j], right_error[j], level, other)
            left_copy[j], right_copy[j] = left_error[j], right_error[j]
        if pixels % 2:
            deviate, _ = _pair(half - 1, key, other_key)
            left[half - 1] = _noisy(left_flux[half - 1], left_error[half - 1], level, deviate)
            left_copy[half - 1] = left_error[half - 1]
