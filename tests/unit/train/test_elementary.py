"""Elementary functions in machine code, beside float64."""

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import norm

from spectral_search.train.elementary import exp, normal_cdf_and_density
from spectral_search.train.machine_code import F32_P, I64, Program, Value

X_N = np.concatenate([np.linspace(-90, 90, 20_001), np.linspace(-8, 8, 20_001), [0.0, -0.0]]).astype(np.float32)


def mapped(written: Callable[[Value], Value], x_N: np.ndarray) -> np.ndarray:
    program = Program()
    with program.function("mapped", F32_P, F32_P, I64) as (source, target, count), program.loop(count) as i:
        target[i] = written(source[i])
    out_N = np.empty_like(x_N)
    program.compiled()["mapped"](x_N.ctypes.data, out_N.ctypes.data, len(x_N))
    return out_N


def test_powers_of_e() -> None:
    expected_N = np.exp(np.clip(X_N.astype(np.float64), -87.0, 88.0))
    np.testing.assert_allclose(mapped(exp, X_N), expected_N, rtol=2e-7)
    edges_N = mapped(exp, np.array([np.inf, -np.inf, np.nan], np.float32))
    np.testing.assert_allclose(edges_N[:2], [math.exp(88.0), math.exp(-87.0)], rtol=2e-7)
    assert np.isnan(edges_N[2])


def test_the_normal_distribution() -> None:
    below_N, density_N = (mapped(lambda z, part=part: normal_cdf_and_density(z)[part], X_N) for part in (0, 1))
    np.testing.assert_allclose(below_N, norm.cdf(X_N.astype(np.float64)), atol=3e-7, rtol=0)
    np.testing.assert_allclose(density_N, norm.pdf(X_N.astype(np.float64)), atol=3e-7, rtol=0)
    assert np.isnan(mapped(lambda z: normal_cdf_and_density(z)[0], np.array([np.nan], np.float32))).all()
