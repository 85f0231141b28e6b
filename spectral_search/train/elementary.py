"""Elementary functions of floats of 32 bits for machine code, in steps that LLVM makes vectors of.

Libraries of vectors are not at hand there, and calls of scalar ones would leave no vectors at all.
"""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spectral_search.train.machine_code import Value

_LOWEST, _HIGHEST = -87.0, 88.0
"""Beyond them e^x is no normal number any more."""
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
"""Their sum is ln 2; the first has so few digits that multiples of it are exact."""
_TO_INTEGER = 1.5 * 2.0**23
"""Added to a float it leaves no digits below 1, and those above in the low bits."""
_TAYLOR = [1.0 / math.factorial(power) for power in range(8)]
_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)


def exp(x: "Value") -> "Value":
    """e^x, off by a part of 2e-7 at most between -87 and 88, beyond which it is that of the bound; NaN stays."""
    x = x.clamped(_LOWEST, _HIGHEST)
    shifted = x * math.log2(math.e) + _TO_INTEGER
    whole = shifted - _TO_INTEGER
    rest = x - whole * _LN2_HIGH - whole * _LN2_LOW
    result = rest * _TAYLOR[-1] + _TAYLOR[-2]
    for coefficient in _TAYLOR[-3::-1]:
        result = result * rest + coefficient
    # 2^whole, by its exponent's bits.
    return result * ((shifted.as_bits() << 23) + (127 << 23)).as_float()


def normal_cdf_and_density(z: "Value") -> "tuple[Value, Value]":
    """Distribution function and density of N(0, 1), each off by 3e-7 at most (M. Abramowitz, I. Stegun, 7.1.26)."""
    magnitude = (z.as_bits() & 0x7FFFFFFF).as_float()
    bell = exp(z * z * -0.5)
    inverse = magnitude * (0.3275911 * math.sqrt(0.5)) + 1.0
    t = inverse.constant(inverse.value.type, 1.0) / inverse
    series = t * _ERF[-1] + _ERF[-2]
    for coefficient in _ERF[-3::-1]:
        series = series * t + coefficient
    tail = series * t * bell * 0.5
    upper = tail * -1.0 + 1.0
    return upper.where(z.is_positive(), tail), bell * (1.0 / math.sqrt(2.0 * math.pi))
