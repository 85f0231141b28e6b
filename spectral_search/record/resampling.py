"""How sure a number is: intervals by resampling the examples that it was measured on.

One set of resampled sums answers all questions about the same examples (several methods, parts of the set,
differences), so that differences are paired.
Shape suffixes: D draws of the input, N examples, R bootstrap samples, K methods, C columns.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spectral_search.spec.seeds import numpy_seed
from spectral_search.task.measure import Measure, Ranked, drawn_together

RESAMPLES = 1000
_LEVEL = 0.95
_CHUNK_VALUES = 2_000_000
# A byte each, and `_kept_times` keeps two of them.
_CACHED_VALUES = 50_000_000


@dataclass(frozen=True)
class Estimate:
    """A number and its 95% interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def resampled_sums(columns_NC: np.ndarray, *, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Sums over bootstrap samples of the examples, one row a sample, float64 of shape (R, C).

    Args:
        columns_NC: A row an example; examples that a column is not about hold 0 there.
        seed: Of the resampling; one seed draws the same examples for every call of as many.
        resamples: R.
    """
    columns_NC = np.asarray(columns_NC, np.float64)
    chunks = _drawn_times(len(columns_NC), seed, resamples)
    return np.concatenate([times_RN.astype(np.float64) @ columns_NC for times_RN in chunks])


def _drawn_times(count: int, seed: int, resamples: int) -> Iterable[np.ndarray]:
    cached = count * resamples <= _CACHED_VALUES
    return _kept_times(count, seed, resamples) if cached else _times(count, seed, resamples)


def _times(count: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each example is in each bootstrap sample, uint8 of shape (R, N), a chunk of samples at a time."""
    rng, step = np.random.default_rng(numpy_seed(seed)), max(1, _CHUNK_VALUES // count)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        # Each sample of the chunk counts in a range of its own, so that one bincount does for all.
        rows = rng.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        times_RN = np.bincount(rows.ravel(), minlength=size * count).reshape(size, count)
        # More than 255 times the same example happens to nobody.
        yield np.minimum(times_RN, 255).astype(np.uint8)


@lru_cache(maxsize=2)
def _kept_times(count: int, seed: int, resamples: int) -> list[np.ndarray]:
    """`_times` kept: a report asks hundreds of questions about the same examples."""
    return list(_times(count, seed, resamples))


def sampled_values(
    measure: Measure | Ranked,
    error_NK: np.ndarray,
    target_N: np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    part_N: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A metric of K methods on the same examples, and on bootstrap samples of them.

    Args:
        measure: How it is computed.
        error_NK: What each example adds for each method, see `Measure.errors`.
        target_N: What was to be predicted.
        seed: Of the resampling.
        resamples: R.
        part_N: Which examples count, all when absent.

    Returns:
        Values of shape (K,) and of shape (R, K); NaN where the examples make none.
    """
    part_N = np.ones(len(target_N), bool) if part_N is None else part_N
    if isinstance(measure, Ranked):
        # All of them as they are, and then each sample: an example outside of the part counts no time.
        every = [part_N[None], *(times_RN * part_N for times_RN in _drawn_times(len(target_N), seed, resamples))]
        value_RK = np.concatenate([measure.of_times(error_NK, target_N, times_RN) for times_RN in every])
        return value_RK[0], value_RK[1:]
    columns_NC = _blocks(measure.columns(error_NK, target_N, part_N), drawn_together(measure))
    sums_RC = resampled_sums(columns_NC, seed=seed, resamples=resamples)
    return measure.of_sums(columns_NC.sum(0, keepdims=True))[0], measure.of_sums(sums_RC)


def _blocks(columns_NC: np.ndarray, together: int) -> np.ndarray:
    """Sums over blocks of neighbouring examples, which samples then draw as one (Carlstein 1986).

    Errors of examples that overlap are alike. Drawn one by one they would count as so many witnesses, and intervals be
    too narrow. Blocks do not overlap; the last may be shorter.
    """
    if together == 1:
        return columns_NC
    return np.add.reduceat(columns_NC, np.arange(0, len(columns_NC), together), axis=0)


def estimates(value_K: np.ndarray, sample_RK: np.ndarray, level: float = _LEVEL) -> list[Estimate]:
    """Values with the percentile intervals of their bootstrap samples."""
    tail = (1.0 - level) / 2.0
    with np.errstate(invalid="ignore"):
        low_K, high_K = np.nanquantile(sample_RK, [tail, 1.0 - tail], axis=0)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(value_K, low_K, high_K, strict=True)]


def interval(
    measure: Measure | Ranked,
    predicted_DN: np.ndarray,
    target_N: np.ndarray,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = _LEVEL,
) -> tuple[float, float]:
    """Bootstrap interval of a metric over examples; all draws of one stay together, since they share its target.

    Args:
        measure: How it is computed.
        predicted_DN: Predictions of D draws of N examples.
        target_N: What was to be predicted.
        seed: Of the resampling.
        resamples: Bootstrap samples.
        level: Coverage of the percentile interval.
    """
    error_N1 = measure.errors(predicted_DN, target_N)[:, None]
    found = estimates(*sampled_values(measure, error_N1, target_N, seed=seed, resamples=resamples), level)[0]
    return found.low, found.high
