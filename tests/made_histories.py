"""Histories of searches that were never run, in either direction of what is measured."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History, State, Trial
from spectral_search.strategy.proposer import Proposer
from spectral_search.task.metric import Metric

HIGHER = Metric("score", "score", higher_is_better=True, worst=-1.0)
LOWER = Metric("loss", "loss", higher_is_better=False, worst=1.0)
"""Two metrics of which one says the same as the other of values of the other sign."""
MIXED: dict[str, Any] = {
    "model.kind": {"choice": ["mlp", "cnn"]},
    "model.hidden": {"choice": [[8], [8, 4]], "when": {"model.kind": "mlp"}},
    "model.kernel_size": {"choice": [3, 5], "when": {"model.kind": "cnn"}},
    "fit.lr": {"log_uniform": [1e-4, 1e-1]},
}
FINITE = {key: domain for key, domain in MIXED.items() if key != "fit.lr"}
GRID = {"fit.lr": [1e-3, 1e-2], "model.hidden": [[8], [4, 4]]}


def spec_of(space: dict[str, Any], sampler: str = "tpe", **rest: Any) -> RunSpec:
    """A search of 12 trials."""
    search = {"sampler": sampler, "trials": 12, "startup_trials": 4, **rest.pop("search", {})}
    return RunSpec.from_dict({"stage": "s", "model": {"kind": "mlp"}, "space": space, "search": search, **rest})


def history_of(trials: Sequence[Trial], *, more: bool = True) -> History:
    return History(list(trials), len(trials) + more, more)


def mirrored(history: History) -> History:
    """The same search measured by the other metric."""
    trials = [replace(trial, values=tuple(-value for value in trial.values)) for trial in history.trials]
    return replace(history, trials=trials)


def trained(number: int, params: dict[str, Any], epochs: int = 20) -> Trial:
    """A trial whose end and values follow from its number and parameters: of five one fails and two are stopped."""
    state: State = ("complete", "stopped", "stopped", "complete", "failed")[number % 5]
    best = 0.5 - len(json.dumps(params)) / 1000 + params.get("fit.lr", 0.0)
    values = tuple(best * epoch / epochs for epoch in range(1, (epochs if state == "complete" else 3) + 1))
    return Trial(number, params, epochs, values, state, passed=2)


def proposed(proposer: Proposer, count: int) -> list[Trial]:
    """The first trials of a search."""
    trials: list[Trial] = []
    while len(trials) < count and (params := proposer.propose(history_of(trials))) is not None:
        trials.append(trained(len(trials), params))
    return trials
