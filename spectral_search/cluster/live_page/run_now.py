"""One run as the page gets it: how it stands, its rungs, what trains where, what failed."""

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from spectral_search.cluster.live_page.metric_values import metric_document, retest_document
from spectral_search.cluster.live_page.outlook import outlook
from spectral_search.cluster.live_page.results_folder import WatchedRun
from spectral_search.record.database import sqlite_url
from spectral_search.record.leaderboard import caveats
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.record.wording import short_keys
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.rule import rule_of


def run_document(run: WatchedRun, now: float) -> dict[str, Any]:
    """A run as it stands.

    Raises:
        RequestError: A file of it is missing, locked or damaged.
    """
    record = run.read(now)
    spec = run.made("spec", record.spec, lambda: RunSpec.from_dict(record.spec))
    manifest, objective, ahead = record.manifest, record.objective, outlook(record, spec, now)
    failed = [trial for trial in record.trials if trial.state == "failed"]
    return {
        "name": record.paths.name,
        "path": str(record.paths.folder.absolute()),
        "stage": manifest.stage,
        "description": spec.description,
        "task": manifest.task,
        "examples": record.task.examples,
        "state": record.state,
        "phase": ahead.phase,
        "created_at": manifest.created_at,
        "host": manifest.hostname,
        "wall_seconds": record.wall_seconds,
        "planned": manifest.planned_trials,
        "counts": record.counted,
        "collapsed": len(record.collapsed),
        "epochs": record.epochs_trained,
        "epochs_planned": ahead.epochs_planned,
        "left_seconds": ahead.left_s,
        "examples_per_second": ahead.examples_per_second,
        "metric": metric_document(objective),
        "best": _best(record),
        "retest": retest_document(record),
        "test": record.test,
        "rungs": _rungs(record, spec),
        "live": [_live(trial, record, spec) for trial in record.trials if trial.state == "running"],
        "workers": _workers(record),
        "failures": run.made("failures", failed, lambda: _failures(record)),
        "caveats": caveats(record),
        "notes": record.notes,
        "ray_dashboard": manifest.ray_dashboard if record.state == "running" else None,
        "optuna_command": shlex.join(["optuna-dashboard", manifest.storage or sqlite_url(record.paths.study_db, "ro")]),
        "study": manifest.storage or str(record.paths.study_db.absolute()),
    }


def trials_document(run: WatchedRun, now: float) -> dict[str, Any]:
    """All trials, best first, with the values of the parameters that vary in a column each.

    Raises:
        RequestError: As of `run_document`.
    """
    record = run.read(now)
    spec = run.made("spec", record.spec, lambda: RunSpec.from_dict(record.spec))
    keys = list(dict.fromkeys(key for trial in record.trials for key in trial.params))
    names = short_keys(keys)
    others = record.task.metrics[1:4]
    return {
        "metric": metric_document(record.objective),
        "others": [metric_document(metric) for metric in others],
        "params": [
            {"key": key, "name": names[key], "log": key in spec.space and spec.space[key].is_log} for key in keys
        ],
        "trials": [
            {
                "trial": trial.number,
                "state": trial.state,
                "collapsed": trial.collapsed,
                "value": trial.best_value,
                "others": [trial.best_metrics.get(metric.val_name) for metric in others],
                "best_epoch": trial.best_epoch,
                "epochs": trial.last_epoch,
                "seconds": trial.seconds,
                "error": trial.error,
                "params": [trial.params.get(key) for key in keys],
            }
            for trial in record.ranked()
        ],
    }


def curves_text(run: WatchedRun, now: float) -> str:
    """JSON text of every trial's objective by epoch, from the first on; null where there is no number.

    Raises:
        RequestError: As of `run_document`.
    """
    record = run.read(now)
    # What a trial that is over came to is put into words once.
    texts = [run.made(f"curve {trial.number}", trial, partial(_curve, trial)) for trial in record.trials]
    return f'{{"metric": {json.dumps(metric_document(record.objective))}, "curves": [{", ".join(texts)}]}}'


def _curve(trial: TrialRecord) -> str:
    values = [trial.values.get(epoch) for epoch in range(1, trial.last_epoch + 1)]
    rounded = [None if value is None else float(f"{value:.6g}") for value in values]
    return json.dumps({"trial": trial.number, "state": trial.state, "values": rounded})


def _best(record: RunRecord) -> dict[str, Any] | None:
    best = record.best
    if best is None:
        return None
    others = [(metric_document(m), best.best_metrics.get(m.val_name)) for m in record.task.metrics[1:4]]
    return {
        "trial": best.number,
        "epoch": best.best_epoch,
        "value": best.best_value,
        "params": best.params,
        "others": [{"metric": metric, "value": value} for metric, value in others],
    }


def _live(trial: TrialRecord, record: RunRecord, spec: RunSpec) -> dict[str, Any]:
    last = trial.epochs[-1] if trial.epochs else {}
    longest = trial.params.get("fit.epochs", spec.fit.epochs)
    return {
        "trial": trial.number,
        "epoch": trial.last_epoch,
        "epochs": longest,
        "value": last.get(record.objective.val_name),
        "best": trial.best_value,
        "train_loss": last.get("train_loss"),
        "epoch_seconds": last.get("seconds"),
        "params": trial.params,
    }


def _rungs(record: RunRecord, spec: RunSpec) -> list[dict[str, Any]]:
    """Of each epoch at which trials are judged: how many came to it, and what became of them."""
    objective = record.objective
    found = []
    for epoch in rule_of(spec).rungs(spec.fit.epochs):
        reached = [trial for trial in record.trials if trial.last_epoch >= epoch]
        held = [trial for trial in reached if trial.last_epoch == epoch]
        went_on = [objective.best_until(trial.values, epoch) for trial in reached if trial.last_epoch > epoch]
        found.append(
            {
                "epoch": epoch,
                "reached": len(reached),
                "waiting": sum(trial.state == "waiting" for trial in held),
                "stopped": sum(trial.state == "stopped" for trial in held),
                "went_on": len(went_on),
                "worst_that_went_on": min(went_on, key=objective.gain, default=None),
            }
        )
    return found


def _workers(record: RunRecord) -> list[dict[str, Any]]:
    """What each process trains; of a run that nobody works on any more, what it trained when it died."""
    running = {trial.number: trial for trial in record.trials if trial.state == "running"}
    if (found := _under_way(record.paths.under_way_dir)) or record.state != "running":
        return found
    # Each in a process of its own, which writes down nothing about itself.
    return [{"worker": f"trial {number}", "trials": [number], "deaths": 0} for number in running]


def _under_way(folder: Path) -> list[dict[str, Any]]:
    found = []
    with suppress(OSError):
        for place, path in enumerate(sorted(folder.glob("*.json")), start=1):
            with suppress(OSError, ValueError, KeyError, TypeError):  # it may be half-written, or gone
                told = json.loads(path.read_text())
                name = "this search's own process" if path.stem == "inline" else f"pass {place}"
                trials: Sequence[int] = [int(number) for number in told["trials"]]
                found.append({"worker": name, "trials": trials, "deaths": int(told["deaths"])})
    return found


def _failures(record: RunRecord) -> list[dict[str, Any]]:
    # What `run --json` tells, but for the condition: it is `where` for programs.
    return [{key: told for key, told in group.to_dict().items() if key != "condition"} for group in record.failures]
