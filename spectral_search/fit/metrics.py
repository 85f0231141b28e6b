"""What a prediction is worth. Shape suffix: M predictions."""

import numpy as np


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


def r2_interval(
    predicted_DN: np.ndarray, true_N: np.ndarray, *, seed: int, resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of R2 over spectra; all draws of a spectrum stay together, since they share its label.

    Args:
        predicted_DN: Predictions of D noise draws of N spectra.
        true_N: Labels.
        seed: Of the resampling.
        resamples: Bootstrap samples.
        level: Coverage of the percentile interval.
    """
    true_N = np.asarray(true_N, np.float64)
    error_N = np.mean((np.asarray(predicted_DN, np.float64) - true_N) ** 2, axis=0)
    rng, count = np.random.default_rng(seed), len(true_N)
    values = np.empty(resamples)
    for sample in range(resamples):
        rows = rng.integers(0, count, count)
        values[sample] = 1.0 - error_N[rows].mean() / max(true_N[rows].var(), 1e-12)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
