"""Audit: how much of log g is in what is not the spectrum's lines - the error array, the S/N, the mere values.

Each is given to a Ridge and to a small LightGBM; the better of both is told. Shuffling the pixels of each spectrum
leaves only the distribution of its values, so the models are given just that: the sorted values at some ranks.
Shape suffixes: N spectra, F features, L pixels.
"""

import lightgbm
import numpy as np
import torch

from spectral_search.models.ridge_regression import RidgeAccumulator, RidgeSolution
from spectral_search.record.resampling import interval
from spectral_search.spec.seeds import lightgbm_seed
from spectral_search.tasks.spectra.audit.audit_findings import Audited, AuditFinding, sample
from spectral_search.tasks.spectra.scores import R2, r2
from spectral_search.tasks.spectra.training.dataset import Labelled, as_blocks, draw_noise, labelled
from spectral_search.tasks.spectra.training.preprocessing import fit_preprocessing, set_validity

_TRAIN_SPECTRA = 8192
_EVALUATED_SPECTRA = 4096
_RANKS = 128
_LEAK_R2 = 0.1
_SHUFFLED_R2 = 0.3
_PENALTIES = tuple(10.0**power for power in range(-11, 2))
TREES = 150
_PARAMETERS = {
    "objective": "regression",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "feature_fraction": 0.1,
    "feature_fraction_bynode": 1.0,
    "max_bin": 63,
    "deterministic": True,
    "force_col_wise": True,
    "verbose": -1,
}


def check(data: Audited) -> list[AuditFinding]:
    """R2 of log g from the error alone, from the S/N alone, and from wavelength-shuffled noisy spectra."""
    train, test, part = _spectra(data)
    tell = data.told("audit: what predicts log g")
    views = {"error_alone": _errors, "snr_alone": _snr, "shuffled": _sorted_values}
    findings = []
    for done, (name, view) in enumerate(views.items(), start=1):
        found = _predictable(view(train, data.seed), train.log_g_N, view(test, data.seed + 1), test.log_g_N, data)
        numbers = {**found, "part": part, "train_spectra": len(train), "spectra": len(test)}
        findings.append(_finding(name, numbers))
        tell(done, len(views))
    return findings


def _spectra(data: Audited) -> tuple[Labelled, Labelled, str]:
    """Samples of train and of test (val where there is none), conditioned by the sample of train."""
    part = "test" if data.splits.test is not None else "val"
    train = sample(data.splits.train, _TRAIN_SPECTRA)
    test = sample(data.parts[part], _EVALUATED_SPECTRA)
    votes = set_validity(as_blocks(test), test.pixels)
    prep = fit_preprocessing(as_blocks(train), train.labels["log_g"].to_numpy(), train.pixels, [votes])
    return _cut(labelled(train, prep), prep.valid_L), _cut(labelled(test, prep), prep.valid_L), part


def _cut(spectra: Labelled, valid_L: np.ndarray) -> Labelled:
    return Labelled(spectra.flux_NL[:, valid_L], spectra.error_NL[:, valid_L], spectra.log_g_N, spectra.bin_N)


def _errors(spectra: Labelled, seed: int) -> np.ndarray:
    return spectra.error_NL


def _snr(spectra: Labelled, seed: int) -> np.ndarray:
    """S/N (the median of flux / error) and powers of it."""
    known_NL = spectra.error_NL > 0
    ratio_NL = np.divide(spectra.flux_NL, spectra.error_NL, out=np.full_like(spectra.flux_NL, np.nan), where=known_NL)
    snr_N = np.nan_to_num(np.nanmedian(ratio_NL, axis=1)).clip(min=1e-3)
    return np.stack([snr_N, np.log(snr_N), np.log(snr_N) ** 2], 1).astype(np.float32)


def _sorted_values(spectra: Labelled, seed: int) -> np.ndarray:
    """Sorted noisy values of each spectrum at evenly spaced ranks."""
    noisy_NL = np.sort(draw_noise(spectra, 1.0, (seed, "audit")), axis=1)
    ranks = np.unique(np.linspace(0, noisy_NL.shape[1] - 1, _RANKS).round().astype(int))
    return noisy_NL[:, ranks]


def _predictable(
    x_NF: np.ndarray, log_g_N: np.ndarray, other_NF: np.ndarray, true_N: np.ndarray, data: Audited
) -> dict[str, float | str]:
    """R2 with its interval, of the better of Ridge and LightGBM, and which it is."""
    predicted = {
        "Ridge": _ridge(x_NF, log_g_N, other_NF),
        "LightGBM": _trees(x_NF, log_g_N, other_NF, data),
    }
    values = {name: r2(predicted_N, true_N) for name, predicted_N in predicted.items()}
    best = max(values, key=lambda name: values[name])
    low, high = interval(R2, predicted[best][None], true_N, seed=data.seed)
    return {"r2": values[best], "low": low, "high": high, "by": best, "ridge_r2": values["Ridge"]}


def _ridge(x_NF: np.ndarray, log_g_N: np.ndarray, other_NF: np.ndarray) -> np.ndarray:
    """Ridge in float64, its penalty chosen on every fifth spectrum, which it is not fitted on."""
    mean_F, std_F = x_NF.mean(0, dtype=np.float64), x_NF.std(0, dtype=np.float64)
    scale_F = np.divide(1.0, std_F, out=np.zeros_like(std_F), where=std_F > 0)
    held_N = np.arange(len(x_NF)) % 5 == 0
    sums = RidgeAccumulator(x_NF.shape[1], dtype=torch.float64)
    for rows in np.array_split(np.flatnonzero(~held_N), max(1, len(x_NF) // 2048)):
        sums.update(torch.from_numpy((x_NF[rows] - mean_F) * scale_F), torch.from_numpy(log_g_N[rows]))
    held_NF = torch.from_numpy((x_NF[held_N] - mean_F) * scale_F)
    solved = [solution for _, solution in sums.solvable([penalty * sums.count for penalty in _PENALTIES])]

    def score(solution: RidgeSolution) -> float:
        return r2((held_NF @ solution.weight_F + solution.bias).numpy(), log_g_N[held_N])

    best = max(solved, key=score)
    return np.asarray((torch.from_numpy((other_NF - mean_F) * scale_F) @ best.weight_F).numpy() + best.bias)


def _trees(x_NF: np.ndarray, log_g_N: np.ndarray, other_NF: np.ndarray, data: Audited) -> np.ndarray:
    few = x_NF.shape[1] <= _RANKS
    parameters = {**_PARAMETERS, "feature_fraction": 1.0 if few else 0.1, "num_threads": data.threads}
    parameters["seed"] = lightgbm_seed(data.seed)
    parameters["min_data_in_leaf"] = max(1, min(20, len(x_NF) // 20))
    booster = lightgbm.train(parameters, lightgbm.Dataset(x_NF, log_g_N), num_boost_round=TREES)
    return np.asarray(booster.predict(other_NF))


_MEASURED = "R2 {r2:.4f} ({low:.4f} to {high:.4f}, {by})"
_LEAKS = {
    "error_alone": f"The error array alone predicts log g with {_MEASURED}: it was computed from the noise-free flux. "
    "Keep it out of the network: inputs flux_error and flux_inverse_error read it, and their numbers do not compare "
    "with those of the flux.",
    "snr_alone": f"The S/N alone predicts log g with {_MEASURED}: brightness goes with the label in this set, and a "
    "network may learn the one for the other. Look at R2 per S/N, or sample magnitudes independently of log g.",
    "shuffled": f"With its pixels shuffled a noisy spectrum still predicts log g with {_MEASURED}: much of the label "
    "is in the level and spread of the flux, not in the lines. Check how the flux was normalised; a network near this "
    "number has understood nothing about spectra.",
}
_HARMLESS = {
    "error_alone": f"The error array alone predicts log g with {_MEASURED}: it gives little away.",
    "snr_alone": f"The S/N alone predicts log g with {_MEASURED}: brightness gives little away.",
    "shuffled": f"With its pixels shuffled a noisy spectrum predicts log g with {_MEASURED}: what networks reach above "
    "this comes from where the lines are.",
}


def _finding(name: str, numbers: dict[str, float | str | int]) -> AuditFinding:
    leaks = float(numbers["r2"]) > (_SHUFFLED_R2 if name == "shuffled" else _LEAK_R2)
    text = (_LEAKS if leaks else _HARMLESS)[name].format(**numbers)
    return AuditFinding(name, "warning" if leaks else "ok", text, numbers)
