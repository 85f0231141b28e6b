"""A results folder with many runs, one of them large and live: what the live page is timed on."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import optuna
import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from spectral_search.record.durable import write_atomic
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths

_SPACE: dict[str, BaseDistribution] = {
    "fit.lr": FloatDistribution(1e-4, 3e-2, log=True),
    "fit.weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
    "model.dropout": FloatDistribution(0.0, 0.5),
    "model.activation": CategoricalDistribution(["relu", "gelu", "silu"]),
}
_LIVE = 8
"""Trials of the large run that train."""
_SMALL_TRIALS, _SMALL_EPOCHS = 16, 10


def make_runs(root: Path, runs: int, trials: int, epochs: int) -> RunPaths:
    """Write a results folder.

    Args:
        root: The folder, which is not there yet.
        runs: A large live one, and small ones, of which every other is finished and the rest was cut off.
        trials: Of the large one.
        epochs: Of each of its trials; every third was stopped half way.

    Returns:
        The large one, whose process is this one.
    """
    large = RunPaths(root, "large").create()
    _write(large, trials, epochs, _LIVE)
    manifest = _manifest(large, trials)
    manifest.claim()
    manifest.save(large.manifest_json)
    first = RunPaths(root, "small000").create()
    _write(first, _SMALL_TRIALS, _SMALL_EPOCHS, 0)
    for number in range(1, runs - 1):
        shutil.copytree(first.folder, root / f"small{number:03d}")
    for number in range(runs - 1):
        paths = RunPaths(root, f"small{number:03d}")
        manifest = _manifest(paths, _SMALL_TRIALS)
        if number % 2:
            manifest.best = {"trial": 3, "epoch": _SMALL_EPOCHS, "val_r2": 0.7}
            manifest.release("finished", 60.0)
        manifest.save(paths.manifest_json)
    return large


def epoch_line(trial: int, epoch: int) -> str:
    """What a trial tells of an epoch, as a line of its progress file."""
    value = 0.8 * (1.0 - math.exp(-epoch / (4.0 + trial % 13))) - 0.02 * (trial % 7)
    row = {
        "epoch": epoch,
        **{"val_r2": value, "val_mae_dex": 0.4 - value / 4, "val_rmse_dex": 0.5 - value / 4},
        **{"train_loss": 1.0 - value, "train_gain": value, "lr": 1e-3, "steps": 30 * epoch, "seconds": 1.5},
        "spectra_per_second": 21000.0,
        "at_unix_seconds": 1.8e9 + epoch + trial / 10,
    }
    return json.dumps(row) + "\n"


def _manifest(paths: RunPaths, trials: int) -> Manifest:
    named = "large" if paths.name == "large" else "small000"
    return Manifest(name=paths.name, stage="step1", study_name=named, planned_trials=trials)


def _write(paths: RunPaths, trials: int, epochs: int, live: int) -> None:
    spec = {"stage": "step1", "model": {"kind": "mlp", "hidden": [64]}, "fit": {"epochs": epochs}, "space": {}}
    spec["space"] = {"fit.lr": {"log_uniform": [1e-4, 3e-2]}, "model.dropout": {"uniform": [0.0, 0.5]}}
    write_atomic(paths.spec_yaml, yaml.safe_dump({**spec, "search": {"trials": trials}}))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(storage=paths.study_url, study_name=paths.name, direction="maximize")
    study.add_trials(_trials(trials, live))
    for number in range(trials):
        folder = paths.trial(number).create()
        last = epochs // 2 if number % 3 == 0 or number >= trials - live else epochs
        folder.progress_jsonl.write_text("".join(epoch_line(number, epoch) for epoch in range(1, last + 1)))


def _trials(trials: int, live: int) -> Iterator[FrozenTrial]:
    sampled = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for number in range(trials):
        params = sampled.ask(_SPACE).params
        state = TrialState.PRUNED if number % 3 == 0 else TrialState.COMPLETE
        state = TrialState.RUNNING if number >= trials - live else state
        yield create_trial(
            state=state,
            value=0.7 if state is TrialState.COMPLETE else None,
            params=params,
            distributions=_SPACE,
            user_attrs={"params": params},
        )
