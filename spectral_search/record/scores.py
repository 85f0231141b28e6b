"""What predictions are worth, and how sure that is.

Every interval is a bootstrap over spectra. One set of resampled sums answers all questions about the same spectra
(several methods, parts of the set, differences), so that differences are paired.
Shape suffixes: M predictions, D noise draws, N spectra, R bootstrap samples, K columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spectral_search.spec.seeds import numpy_seed

RESAMPLES = 1000
LEVEL = 0.95
_CHUNK_VALUES = 2_000_000
_CACHED_VALUES = 50_000_000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95% interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def r2(predicted_M: np.ndarray, true_M: np.ndarray) -> float:
    """Coefficient of determination, 1 - SS_res / SS_tot, in float64."""
    true_M = np.asarray(true_M, np.float64)
    residual_M = np.asarray(predicted_M, np.float64) - true_M
    return float(1.0 - np.sum(residual_M**2) / np.sum((true_M - true_M.mean()) ** 2))


def scores(predicted_M: np.ndarray, true_M: np.ndarray) -> dict[str, float]:
    """R2 and, in the unit of the labels (dex), MAE and RMSE."""
    residual_M = np.asarray(predicted_M, np.float64) - np.asarray(true_M, np.float64)
    return {
        "r2": r2(predicted_M, true_M),
        "mae_dex": float(np.mean(np.abs(residual_M))),
        "rmse_dex": float(np.sqrt(np.mean(residual_M**2))),
    }


def resampled_sums(columns_NK: np.ndarray, *, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Sums over bootstrap samples of the spectra, one row a sample, float64 of shape (R, K).

    Args:
        columns_NK: A row a spectrum; spectra that a column is not about hold 0 there.
        seed: Of the resampling; one seed draws the same spectra for every call of as many.
        resamples: R.
    """
    columns_NK = np.asarray(columns_NK, np.float64)
    count = len(columns_NK)
    cached = count * resamples <= _CACHED_VALUES
    chunks = _kept_times(count, seed, resamples) if cached else _times(count, seed, resamples)
    return np.concatenate([times_RN.astype(np.float64) @ columns_NK for times_RN in chunks])


def _times(count: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each spectrum is in each bootstrap sample, uint8 of shape (R, N), a chunk of samples at a time."""
    rng, step = np.random.default_rng(numpy_seed(seed)), max(1, _CHUNK_VALUES // count)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        rows = rng.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        times_RN = np.bincount(rows.ravel(), minlength=size * count).reshape(size, count)
        # More than 255 times the same spectrum happens to nobody.
        yield np.minimum(times_RN, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _kept_times(count: int, seed: int, resamples: int) -> list[np.ndarray]:
    """`_times` kept: a report asks hundreds of questions about the same spectra."""
    return list(_times(count, seed, resamples))


def squared_error(predicted_DN: np.ndarray, true_N: np.ndarray) -> np.ndarray:
    """Squared error of each spectrum in dex^2, averaged over its noise draws, which share its label; float64 (N,)."""
    residual_DN = np.asarray(predicted_DN, np.float64) - np.asarray(true_N, np.float64)
    return np.mean(np.atleast_2d(residual_DN) ** 2, axis=0)


def r2_samples(
    error2_NK: np.ndarray,
    true_N: np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    part_N: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """R2 of K methods on the same spectra, and on bootstrap samples of them.

    Args:
        error2_NK: Squared errors, see `squared_error`.
        true_N: Labels.
        seed: Of the resampling.
        resamples: R.
        part_N: Which spectra count, all when absent; their own spread is what R2 is measured against.

    Returns:
        R2 of shape (K,) and of shape (R, K); NaN where the labels do not vary.
    """
    part_N = np.ones(len(true_N), bool) if part_N is None else part_N
    true_N = np.asarray(true_N, np.float64)
    offset_N = np.where(part_N, true_N - true_N[part_N].mean(), 0.0)
    columns_NK = np.column_stack([part_N, offset_N, offset_N**2, np.where(part_N[:, None], error2_NK, 0.0)])
    return _r2_of_sums(columns_NK.sum(0, keepdims=True))[0], _r2_of_sums(
        resampled_sums(columns_NK, seed=seed, resamples=resamples)
    )


def _r2_of_sums(sums_RK: np.ndarray) -> np.ndarray:
    count_R1, first_R1, second_R1 = sums_RK[:, 0:1], sums_RK[:, 1:2], sums_RK[:, 2:3]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread_R1 = second_R1 - first_R1**2 / count_R1
        return np.where(spread_R1 > 1e-12, 1.0 - sums_RK[:, 3:] / spread_R1, np.nan)


def estimates(value_K: np.ndarray, sample_RK: np.ndarray, level: float = LEVEL) -> list[Estimate]:
    """Values with the percentile intervals of their bootstrap samples."""
    tail = (1.0 - level) / 2.0
    with np.errstate(invalid="ignore"):
        low_K, high_K = np.nanquantile(sample_RK, [tail, 1.0 - tail], axis=0)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(value_K, low_K, high_K, strict=True)]


def r2_interval(
    predicted_DN: np.ndarray, true_N: np.ndarray, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> tuple[float, float]:
    """Bootstrap interval of R2 over spectra; all draws of a spectrum stay together, since they share its label.

    Args:
        predicted_DN: Predictions of D noise draws of N spectra.
        true_N: Labels.
        seed: Of the resampling.
        resamples: Bootstrap samples.
        level: Coverage of the percentile interval.
    """
    error2_N1 = squared_error(predicted_DN, true_N)[:, None]
    found = estimates(*r2_samples(error2_N1, true_N, seed=seed, resamples=resamples), level)[0]
    return found.low, found.high
