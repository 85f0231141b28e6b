"""Peer: Optuna alone as its guides teach it - an objective that reports each epoch and asks whether to be pruned.

One trial after the other in this process, on all cores; the spectra are loaded once.
"""

from typing import Any

import optuna

from benchmarks.peers.peer_recipe import dated, load_arrays, main, trained


def _suggested(trial: optuna.Trial, space: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A point of the space."""
    params: dict[str, Any] = {}
    for key, given in space.items():
        match given:
            case {"log_uniform": [low, high]}:
                params[key] = trial.suggest_float(key, low, high, log=True)
            case {"uniform": [low, high]}:
                params[key] = trial.suggest_float(key, low, high)
            case {"choice": choices}:
                params[key] = trial.suggest_categorical(key, choices)
    return params


def search(config: dict[str, Any]) -> dict[str, Any]:
    """The whole search."""
    arrays, recipe = load_arrays(config["root"]), config["recipe"]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    epochs_trained, reached = 0, []

    def objective(trial: optuna.Trial) -> float:
        nonlocal epochs_trained
        best = float("-inf")
        curve = dated(trained(arrays, recipe, _suggested(trial, config["space"])))
        for epoch, (at, val_r2) in enumerate(curve, start=1):
            epochs_trained += 1
            reached.append((at, val_r2))
            best = max(best, val_r2)
            trial.report(val_r2, epoch)
            if trial.should_prune():
                trial.set_user_attr("best_val_r2", best)
                raise optuna.TrialPruned
        trial.set_user_attr("best_val_r2", best)
        return best

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=recipe["seed"]),
        pruner=optuna.pruners.SuccessiveHalvingPruner(
            min_resource=config["scheduler"]["grace_period"], reduction_factor=config["scheduler"]["reduction_factor"]
        ),
    )
    study.optimize(objective, n_trials=config["trials"])
    return {
        "best": max(trial.user_attrs["best_val_r2"] for trial in study.trials),
        "reached": reached,
        "epochs_trained": epochs_trained,
        "trials": len(study.trials),
    }


if __name__ == "__main__":
    main(search)
