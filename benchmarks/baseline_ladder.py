"""Measures the ladder that the simulator is calibrated to: S/N percentiles, then Ridge and LightGBM at noise level 1.

What is counted: R2 of log g in dex on the test set's own frozen noise, after alpha and the number of trees were chosen
on val. The floor is 0 (predict the mean); the published numbers on real spectra, 32k for training, are 0.458 (Ridge)
and 0.536 (LightGBM). Ridge at noise level 0 shows that log g is in the flux at all. The ceiling is the posterior mean
with the training spectra as templates; it grows with their number. Prints one JSON line.

    python -m benchmarks.baseline_ladder FOLDER --train 32000

simulates into FOLDER first when it is empty. Shape suffixes: N spectra, L pixels, F features, T test spectra.
"""

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import scipy.linalg

from spectral_search.tasks.spectra.shards.shard import Shard
from spectral_search.tasks.spectra.simulator.simulate import simulate

_TARGET_SNR = (2.8, 5.3, 8.2, 12.5, 28.0)
_ALPHAS_NOISY = (200.0, 3e3, 1e4, 3e4, 1e5)
_ALPHAS_CLEAN = (1e-4, 1e-2, 1.0)
_BINS_SNR = (3.0, 5.0, 7.0, 10.0, 15.0, 21.0)
_CEILING_SPECTRA = 1000
_LIGHTGBM = {
    "objective": "l2",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "feature_fraction": 0.2,
    "min_data_in_leaf": 40,
    "lambda_l2": 1.0,
    "max_bin": 63,
    "num_threads": 2,
    "seed": 42,
    "verbosity": -1,
}


class Part:
    """One split in memory: flux, error and noisy (N, L) float32, log g and S/N (N,)."""

    def __init__(self, root: Path, split: str) -> None:
        (path,) = root.glob(f"{split}_*/dataset.h5")
        with Shard.open(path) as shard:
            arrays = shard.read(0, shard.spectra, ("flux", "error"))
            self.flux_NL, self.error_NL = arrays["flux"][:, 1:-1], arrays["error"][:, 1:-1]  # NaN error at the ends
            frozen = shard.read(0, shard.spectra, ("noisy",))["noisy"][:, 1:-1] if shard.has_noisy else None
            params = shard.params(["log_g", "snr"])
        self.log_g_N = params["log_g"].to_numpy(np.float64)
        self.snr_N = params["snr"].to_numpy(np.float64)
        self.noisy_NL = self._add_noise() if frozen is None else frozen

    def _add_noise(self) -> np.ndarray:
        noisy_NL = np.random.default_rng(1).standard_normal(self.flux_NL.shape, dtype=np.float32)
        noisy_NL *= self.error_NL
        noisy_NL += self.flux_NL
        return np.clip(noisy_NL, 0.0, None, out=noisy_NL)


def _r2(truth_N: np.ndarray, predicted_N: np.ndarray) -> float:
    """Coefficient of determination."""
    return float(1.0 - np.sum((truth_N - predicted_N) ** 2) / np.sum((truth_N - truth_N.mean()) ** 2))


def _ridge(
    x_NF: np.ndarray, parts: tuple[Part, Part, Part], others: tuple[np.ndarray, np.ndarray], alphas: tuple[float, ...]
) -> tuple[float, np.ndarray]:
    """Ridge on standardised pixels by normal equations; returns the alpha best on val and its test predictions."""
    train, val, _ = parts
    mean_F, scale_F = x_NF.mean(axis=0, dtype=np.float64), x_NF.std(axis=0, dtype=np.float64)
    gram_FF, moment_F = np.zeros((mean_F.size, mean_F.size)), np.zeros(mean_F.size)
    centre = float(train.log_g_N.mean())
    for start in range(0, len(x_NF), 4096):
        z_BF = (x_NF[start : start + 4096] - mean_F) / scale_F
        gram_FF += z_BF.T @ z_BF
        moment_F += z_BF.T @ (train.log_g_N[start : start + 4096] - centre)
    unit_FF = np.eye(mean_F.size)
    weight_FA = np.stack(
        [scipy.linalg.solve(gram_FF + alpha * unit_FF, moment_F, assume_a="pos") for alpha in alphas], axis=1
    )
    val_NA, test_NA = ((other_NF - mean_F) / scale_F @ weight_FA + centre for other_NF in others)
    best = int(np.argmax([_r2(val.log_g_N, column_N) for column_N in val_NA.T]))
    return alphas[best], test_NA[:, best]


def _trees(parts: tuple[Part, Part, Part]) -> tuple[int, np.ndarray]:
    """LightGBM on raw noisy flux, stopped early on val; returns the number of trees and the test predictions."""
    train, val, test = parts
    data = lightgbm.Dataset(train.noisy_NL, train.log_g_N, params={"max_bin": _LIGHTGBM["max_bin"]})
    held_out = lightgbm.Dataset(val.noisy_NL, val.log_g_N, reference=data)
    stop = lightgbm.early_stopping(40, verbose=False)
    model = lightgbm.train(_LIGHTGBM, data, 600, valid_sets=[held_out], callbacks=[stop])
    return model.best_iteration, np.asarray(model.predict(test.noisy_NL))


def _ceiling(train: Part, test: Part) -> float:
    """R2 of the posterior mean: training spectra as templates, weights exp(-chi2 / 2)."""
    noisy_TL = test.noisy_NL[:_CEILING_SPECTRA].astype(np.float64)
    inverse_TL = 1.0 / test.error_NL[:_CEILING_SPECTRA].astype(np.float64) ** 2
    log_weight_TN = np.empty((len(noisy_TL), len(train.log_g_N)))
    for start in range(0, len(train.log_g_N), 4096):
        template_BL = train.flux_NL[start : start + 4096].astype(np.float64)
        chi2_TB = inverse_TL @ (template_BL**2).T - 2.0 * (inverse_TL * noisy_TL) @ template_BL.T
        log_weight_TN[:, start : start + 4096] = -0.5 * chi2_TB
    log_weight_TN -= log_weight_TN.max(axis=1, keepdims=True)
    weight_TN = np.exp(log_weight_TN)
    return _r2(test.log_g_N[:_CEILING_SPECTRA], weight_TN @ train.log_g_N / weight_TN.sum(axis=1))


def _by_snr(test: Part, predicted_N: np.ndarray) -> dict[str, float]:
    """R2 of the test spectra within 15% of each S/N."""
    near = {snr: np.abs(np.log(test.snr_N / snr)) < 0.15 for snr in _BINS_SNR}
    return {f"{snr:g}": round(_r2(test.log_g_N[rows], predicted_N[rows]), 3) for snr, rows in near.items()}


def measure(root: Path) -> dict[str, object]:
    """All rungs of the ladder on one data root."""
    parts = (Part(root, "train"), Part(root, "val"), Part(root, "test"))
    train, val, test = parts
    started = time.perf_counter()
    alpha, linear_N = _ridge(train.noisy_NL, parts, (val.noisy_NL, test.noisy_NL), _ALPHAS_NOISY)
    linear_seconds = time.perf_counter() - started
    clean_alpha, clean_N = _ridge(train.flux_NL, parts, (val.flux_NL, test.flux_NL), _ALPHAS_CLEAN)
    leak_alpha, leak_N = _ridge(train.error_NL, parts, (val.error_NL, test.error_NL), _ALPHAS_CLEAN)
    started = time.perf_counter()
    count, forest_N = _trees(parts)
    return {
        "spectra": {"train": len(train.log_g_N), "val": len(val.log_g_N), "test": len(test.log_g_N)},
        "snr_percentiles": [round(float(p), 2) for p in np.percentile(train.snr_N, (0, 25, 50, 75, 100))],
        "snr_target": _TARGET_SNR,
        "ridge": {"alpha": alpha, "test_r2": _r2(test.log_g_N, linear_N), "by_snr": _by_snr(test, linear_N)},
        "ridge_seconds": round(linear_seconds, 1),
        "ridge_noise_0": {"alpha": clean_alpha, "test_r2": _r2(test.log_g_N, clean_N)},
        "ridge_error_alone": {"alpha": leak_alpha, "test_r2": _r2(test.log_g_N, leak_N)},
        "lightgbm": {"trees": count, "test_r2": _r2(test.log_g_N, forest_N), "by_snr": _by_snr(test, forest_N)},
        "lightgbm_seconds": round(time.perf_counter() - started, 1),
        "ceiling_r2": _ceiling(train, test),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def main() -> None:
    """Reads the command line, simulates when nothing is there, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="data root; simulated when it holds no data set")
    parser.add_argument("--train", type=int, default=32000, help="training spectra to simulate")
    parser.add_argument("--val", type=int, default=4000, help="val spectra to simulate")
    parser.add_argument("--test", type=int, default=10000, help="test spectra to simulate")
    parser.add_argument("--seed", type=int, default=42, help="seed of the simulation")
    arguments = parser.parse_args()
    seconds = None
    if not any(arguments.folder.glob("train_*/dataset.h5")):
        started = time.perf_counter()
        simulate(arguments.folder, train=arguments.train, val=arguments.val, test=arguments.test, seed=arguments.seed)
        seconds = round(time.perf_counter() - started, 1)
    print(json.dumps({"simulate_seconds": seconds, **measure(arguments.folder)}))


if __name__ == "__main__":
    main()
