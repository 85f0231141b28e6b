"""After the last trial: choose on val, re-test on fresh noise, touch the test set once, export the winner."""

from typing import Any

import numpy as np
import torch

from spectral_search.data.dataset import Frozen, Labelled, draw_noise
from spectral_search.data.split import Selection
from spectral_search.fit.predictor import Predictor
from spectral_search.results.bundle import read_bundle
from spectral_search.results.durable import write_json
from spectral_search.results.export import export_best, trial_bundle
from spectral_search.results.manifest import Manifest
from spectral_search.results.metrics import r2, r2_interval, scores
from spectral_search.results.paths import RunPaths
from spectral_search.results.records import RunRecord, TrialRecord
from spectral_search.spec.run import RunSpec


def finish_run(spec: RunSpec, paths: RunPaths, val: Labelled, test: Selection | None, device: torch.device) -> bool:
    """Enter winner, re-test and test score into the manifest and write best/.

    Args:
        spec: The search.
        paths: The run's folder, all its trials over.
        val: Noise-free val spectra.
        test: The test set; used here alone, once, on the winner alone.
        device: Where to predict.

    Returns:
        Whether there is a winner: False when every trial failed.
    """
    record = RunRecord.load(paths)
    finalists = [trial for trial in record.ranked() if trial.best_val_r2 is not None and trial.state != "failed"]
    if not finalists:
        return False
    winner = finalists[0]
    retests = [retest(spec, record, trial, val, device) for trial in finalists[: spec.search.finalists]]
    manifest = Manifest.load(paths.manifest_json)
    manifest.best = {"trial": winner.number, "epoch": winner.best_epoch, "val_r2": winner.best_val_r2}
    manifest.retest = {**retests[0], "finalists": retests}
    manifest.save(paths.manifest_json)
    config = export_best(RunRecord.load(paths))
    bundle = read_bundle(config)
    metrics: dict[str, Any] = {**bundle.metrics, "retest": retests[0]}
    if test is not None:
        predictions = Predictor(bundle, device).predict_shards(test)
        predicted_N, true_N = predictions.table["log_g_predicted"].to_numpy(), predictions.table["log_g"].to_numpy()
        manifest.test = {**scores(predicted_N, true_N), "spectra": len(true_N), "noise": predictions.noise}
        manifest.save(paths.manifest_json)
        metrics["test"] = manifest.test
    write_json(config.with_name("metrics.json"), metrics)
    return True


def retest(spec: RunSpec, record: RunRecord, trial: TrialRecord, val: Labelled, device: torch.device) -> dict[str, Any]:
    """R2 of a trial's best epoch on noise that no choice has seen, with a 95% bootstrap interval over spectra."""
    predictor = Predictor(trial_bundle(record, trial), device)
    draws = []
    for draw in range(spec.search.retest_draws):
        noisy_NL = draw_noise(val, spec.data.noise_level, (spec.data.split_seed, "retest", draw))
        draws.append(predictor.predict(Frozen(noisy_NL[None], val.error_NL, val.log_g_N, val.bin_N))[0])
    predicted_DN = np.stack(draws)
    truth_DN = np.broadcast_to(val.log_g_N, predicted_DN.shape)
    low, high = r2_interval(predicted_DN, val.log_g_N, seed=spec.data.split_seed)
    values = [r2(predicted_N, val.log_g_N) for predicted_N in predicted_DN]
    return {
        "trial": trial.number,
        "r2": r2(predicted_DN, truth_DN),
        "low": low,
        "high": high,
        "r2_by_draw": values,
        "spectra": len(val),
        "val_r2": trial.best_val_r2,
    }
