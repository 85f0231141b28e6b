"""What predictions of log g are worth: R2, and errors in dex.

Shape suffixes: M predictions, D noise draws, N spectra, R samples of them, K methods, C columns.
"""

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


class VarianceExplained:
    """R2 as a function of sums: the spread of the labels of the spectra that count is what it is measured against."""

    def errors(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> np.ndarray:
        """Squared error of each spectrum in dex^2, averaged over its noise draws, which share its label."""
        residual_DN = np.asarray(predicted_DN, np.float64) - np.asarray(target_N, np.float64)
        return np.mean(np.atleast_2d(residual_DN) ** 2, axis=0)

    def columns(self, error_NK: np.ndarray, target_N: np.ndarray, part_N: np.ndarray) -> np.ndarray:
        """How many count, their labels about the mean, the squares of these, and squared errors."""
        true_N = np.asarray(target_N, np.float64)
        offset_N = np.where(part_N, true_N - true_N[part_N].mean(), 0.0)
        return np.column_stack([part_N, offset_N, offset_N**2, np.where(part_N[:, None], error_NK, 0.0)])

    def of_sums(self, sums_RC: np.ndarray) -> np.ndarray:
        """R2, (R, K); NaN where the labels do not vary."""
        count_R1, first_R1, second_R1 = sums_RC[:, 0:1], sums_RC[:, 1:2], sums_RC[:, 2:3]
        with np.errstate(divide="ignore", invalid="ignore"):
            spread_R1 = second_R1 - first_R1**2 / count_R1
            return np.where(spread_R1 > 1e-12, 1.0 - sums_RC[:, 3:] / spread_R1, np.nan)

    def by_draw(self, predicted_DN: np.ndarray, target_N: np.ndarray) -> list[float]:
        """R2 of each draw alone."""
        error2_ND = (np.asarray(predicted_DN, np.float64) - target_N).T ** 2
        return [float(value) for value in 1.0 - error2_ND.mean(axis=0) / np.var(target_N)]


R2 = VarianceExplained()
