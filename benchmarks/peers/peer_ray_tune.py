"""Peer: Ray Tune as its guides teach it - OptunaSearch, ASHAScheduler, tune.report, a DataLoader a trial.

What a recipe loads is loaded once and reaches the trials through the object store (`tune.with_parameters`), as the
guides recommend for large objects; each trial is a process of its own, as by default, and reports every epoch, with a
checkpoint whenever its value on the val set has improved. What the scheduler is told is the guides', not ours.
"""

import logging
import os
import tempfile
import time
from importlib import import_module
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.peer_recipe import main

_MODULES = {"spectra": "peer_recipe", "pairs": "pairs_recipe", "traffic": "traffic_recipe"}
"""What each task trains: a module with `load_arrays(root)` and `Training(arrays, recipe, params)`."""


def _objective(config: dict[str, Any], arrays: Any, recipe: dict[str, Any], task: str, mode: str) -> None:
    """One trial."""
    training = import_module(f"benchmarks.peers.{_MODULES[task]}").Training(arrays, recipe, config)
    best, best_at = None, 0.0
    for epoch in range(1, recipe["epochs"] + 1):
        value = training.epoch()
        checkpoint = None
        with tempfile.TemporaryDirectory() as folder:
            if best is None or (value > best if mode == "max" else value < best):
                best, best_at = value, time.time()
                torch.save(training.model.state_dict(), os.path.join(folder, "model.pt"))
                checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({"value": value, "best": best, "best_at": best_at, "epoch": epoch}, checkpoint=checkpoint)


def _domain(given: dict[str, Any]) -> Any:
    """A domain of the spec in Ray Tune's terms."""
    match given:
        case {"log_uniform": [low, high]}:
            return tune.loguniform(low, high)
        case {"uniform": [low, high]}:
            return tune.uniform(low, high)
        case {"choice": choices}:
            return tune.choice(choices)
    raise ValueError(f"no such domain here: {given}")


def search(config: dict[str, Any]) -> dict[str, Any]:
    """The whole search."""
    recipe, task, mode = config["recipe"], config["task"], config["mode"]
    arrays = import_module(f"benchmarks.peers.{_MODULES[task]}").load_arrays(config["root"])
    # "local": a cluster that somebody else has left running must not be measured.
    ray.init(address="local", logging_level=logging.ERROR, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_objective, arrays=arrays, recipe=recipe, task=task, mode=mode),
                {"cpu": config["cpus_per_trial"]},
            ),
            param_space={key: _domain(given) for key, given in config["space"].items()},
            tune_config=tune.TuneConfig(
                metric="value",
                mode=mode,
                search_alg=OptunaSearch(seed=recipe["seed"]),
                scheduler=ASHAScheduler(**config["scheduler"]),
                num_samples=config["trials"],
            ),
            run_config=tune.RunConfig(
                storage_path=folder, verbose=0, checkpoint_config=tune.CheckpointConfig(num_to_keep=1)
            ),
        )
        results = tuner.fit()
        every = (results[place].metrics for place in range(len(results)))
        ended = [metrics for metrics in every if metrics and "value" in metrics]
        errors = [str(error) for error in results.errors]
    ray.shutdown()
    if errors:
        raise RuntimeError(errors[0])
    return {
        "best": (max if mode == "max" else min)(metrics["best"] for metrics in ended),
        "reached": [(metrics["best_at"], metrics["best"]) for metrics in ended],
        "epochs_trained": sum(metrics["epoch"] for metrics in ended),
        "trials": len(ended),
    }


if __name__ == "__main__":
    main(search)
