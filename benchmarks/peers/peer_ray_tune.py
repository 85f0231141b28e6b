"""Peer: Ray Tune as its guides teach it - OptunaSearch, ASHAScheduler, tune.report, a DataLoader a trial.

The spectra are loaded once and reach the trials through the object store (`tune.with_parameters`), as the guides
recommend for large objects; each trial is a process of its own, as by default, and reports every epoch, with a
checkpoint whenever its val R2 has improved. Grace period and reduction factor are the guides', not ours.
"""

import logging
import os
import tempfile
import time
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers.peer_recipe import Arrays, Training, load_arrays, main


def _objective(config: dict[str, Any], arrays: Arrays, recipe: dict[str, Any]) -> None:
    """One trial."""
    training, best, best_at = Training(arrays, recipe, config), float("-inf"), 0.0
    for epoch in range(1, recipe["epochs"] + 1):
        val_r2 = training.epoch()
        checkpoint = None
        with tempfile.TemporaryDirectory() as folder:
            if val_r2 > best:
                best, best_at = val_r2, time.time()
                torch.save(training.model.state_dict(), os.path.join(folder, "model.pt"))
                checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report(
                {"val_r2": val_r2, "best_val_r2": best, "best_at": best_at, "epoch": epoch}, checkpoint=checkpoint
            )


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
    recipe = config["recipe"]
    # "local": a cluster that somebody else has left running must not be measured.
    ray.init(address="local", logging_level=logging.ERROR, log_to_driver=False)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_objective, arrays=load_arrays(config["root"]), recipe=recipe),
                {"cpu": config["cpus_per_trial"]},
            ),
            param_space={key: _domain(given) for key, given in config["space"].items()},
            tune_config=tune.TuneConfig(
                metric="val_r2",
                mode="max",
                search_alg=OptunaSearch(seed=recipe["seed"]),
                scheduler=ASHAScheduler(
                    max_t=recipe["epochs"],
                    grace_period=config["grace_period"],
                    reduction_factor=config["reduction_factor"],
                ),
                num_samples=config["trials"],
            ),
            run_config=tune.RunConfig(
                storage_path=folder, verbose=0, checkpoint_config=tune.CheckpointConfig(num_to_keep=1)
            ),
        )
        results = tuner.fit()
        every = (results[place].metrics for place in range(len(results)))
        ended = [metrics for metrics in every if metrics and "val_r2" in metrics]
        errors = [str(error) for error in results.errors]
    ray.shutdown()
    if errors:
        raise RuntimeError(errors[0])
    return {
        "best_val_r2": max(metrics["best_val_r2"] for metrics in ended),
        "reached": [(metrics["best_at"], metrics["best_val_r2"]) for metrics in ended],
        "epochs_trained": sum(metrics["epoch"] for metrics in ended),
        "trials": len(ended),
    }


if __name__ == "__main__":
    main(search)
