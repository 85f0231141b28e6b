"""After the last trial: choose on val, re-test afresh and with other seeds, touch the test set once, export.

Every step leaves a file, and what has left its file is not done again: a process that dies here loses at most the
training of the copies at hand since their last checkpoints.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spectral_search.errors import RequestError
from spectral_search.record.bundle import read_bundle
from spectral_search.record.durable import read_json, write_json
from spectral_search.record.export import export_best, trial_bundle
from spectral_search.record.kept_predictions import (
    Retest,
    read_retests,
    read_test_predictions,
    write_retest,
    write_test_predictions,
    write_val_labels,
)
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.retest_verdict import judge
from spectral_search.record.run_records import RunRecord, TrialRecord
from spectral_search.record.tables import column
from spectral_search.run.copy_progress import CopyProgress
from spectral_search.run.retrain_copies import planned_copies, train_copies
from spectral_search.run.seed_models import export_seeds, trains_seeds
from spectral_search.spec.run import RunSpec
from spectral_search.task.preparation import Prepared
from spectral_search.task.registry import task_of
from spectral_search.train.trainer import Trainer

Predict = Callable[[Any], np.ndarray]


def finish_run(
    spec: RunSpec,
    paths: RunPaths,
    prepared: Prepared,
    device: torch.device,
    progress: CopyProgress,
    *,
    reseed: bool = True,
) -> bool:
    """Enter winner, re-test and test score into the manifest and write best/.

    Args:
        spec: The search.
        paths: The run's folder, all its trials over.
        prepared: Its data; the test set is used here alone, once, on the winner alone.
        device: Where to predict, and to train finalists anew.
        progress: Where that training is shown.
        reseed: Whether to train finalists anew here.

    Returns:
        Whether there is a winner: False when every trial failed.
    """
    record = RunRecord.load(paths)
    ranked = [trial for trial in record.ranked() if trial.best_value is not None and trial.state != "failed"]
    if not ranked:
        return False
    # What learnt nothing is not worth a re-test, but where nothing else is there.
    finalists = [trial for trial in ranked if trial.collapsed is None][: spec.search.finalists] or ranked[:1]
    write_val_labels(paths, prepared.val_table)
    retests = _as_trained(spec, record, finalists, prepared, device)
    _enter_retest(spec, paths, prepared, finalists, retests)
    # Loaded anew: the exported metrics hold the re-test that was just entered.
    config = export_best(RunRecord.load(paths))
    # Before the finalists are trained anew, which may take hours: who stops the run then has its test score.
    if prepared.has_test:
        _test(record, finalists[0], prepared, device, config)
    if trains_seeds(spec):
        export_seeds(record, prepared, device)
    if reseed:
        retests += _retrained(spec, record, finalists, prepared, device, progress)
        _enter_retest(spec, paths, prepared, finalists, retests)
    manifest = Manifest.load(paths.manifest_json)
    metrics = {**read_json(config.with_name("metrics.json")), "retest": manifest.retest}
    if prepared.has_test:
        metrics["test"] = manifest.test
    write_json(config.with_name("metrics.json"), metrics)
    return True


def _as_trained(
    spec: RunSpec, record: RunRecord, finalists: list[TrialRecord], prepared: Prepared, device: torch.device
) -> list[Retest]:
    """The weights of the search, on draws of the val examples that no choice has seen where the task has any."""
    own = [made for made in read_retests(record.paths, record.objective) if made.own]
    # By epoch too: a trial that was extended since may have other best weights.
    known = {(made.trial, made.seed, made.epoch): made for made in own}
    wanted = [(trial, spec.with_params(trial.params).fit.seed, trial.best_epoch or 0) for trial in finalists]
    missing = [(trial, seed, epoch) for trial, seed, epoch in wanted if (trial.number, seed, epoch) not in known]
    predictors = [prepared.predictor(trial_bundle(record, trial), device).predict for trial, _, _ in missing]
    made_of = _fresh_predictions(prepared, record.task.retest_draws(spec.search), predictors)
    for (trial, seed, epoch), predicted_DN in zip(missing, made_of, strict=True):
        made = Retest(trial.number, seed, True, epoch, epoch, trial.best_value, predicted_DN)
        write_retest(record.paths, record.objective, made)
        known[trial.number, seed, epoch] = made
    return [known[trial.number, seed, epoch] for trial, seed, epoch in wanted]


def _fresh_predictions(prepared: Prepared, count: int, predictors: Sequence[Predict]) -> list[np.ndarray]:
    """Predictions for so many fresh draws of the val examples, each of shape (D, N).

    The next draw is made, by one thread, while the networks predict for this one.
    """
    if not predictors:
        return []
    draws: list[list[np.ndarray]] = [[] for _ in predictors]

    with ThreadPoolExecutor(1) as ahead:

        def drawing(draw: int) -> Future[Any]:
            return ahead.submit(prepared.fresh, draw)

        coming = drawing(0)
        for draw in range(count):
            examples = coming.result()
            # One draw ahead and no more: each holds all of the val examples.
            if draw + 1 < count:
                coming = drawing(draw + 1)
            for predicted, predict in zip(draws, predictors, strict=True):
                predicted.append(predict(examples)[0])
    return [np.stack(predicted) for predicted in draws]


def _retrained(
    spec: RunSpec,
    record: RunRecord,
    finalists: list[TrialRecord],
    prepared: Prepared,
    device: torch.device,
    progress: CopyProgress,
) -> list[Retest]:
    """The finalists trained anew with other seeds, on the same examples; what is on disk is not trained again."""
    copies = planned_copies(spec, finalists, record.epochs_trained)
    anew = [retest for retest in read_retests(record.paths, record.objective) if not retest.own]
    known = {(retest.trial, retest.seed): retest for retest in anew}
    # A trial that was extended since may have a later best epoch, for which its copies were not trained.
    done = [
        known[key] for copy in copies if (key := (copy.trial, copy.seed)) in known and known[key].epochs == copy.epochs
    ]
    left = [copy for copy in copies if (copy.trial, copy.seed) not in {(made.trial, made.seed) for made in done}]
    if left:
        trainer = Trainer(prepared.dataset, device, allow_oversize=spec.resources.allow_oversize)

        def keep(made: Retest, predict: Predict | None) -> None:
            if predict is not None:
                draws = record.task.retest_draws(spec.search)
                made = replace(made, predicted_DN=_fresh_predictions(prepared, draws, [predict])[0])
            write_retest(record.paths, record.objective, made)
            done.append(made)

        train_copies(trainer, spec, record.paths, left, progress, keep)
    order = {(copy.trial, copy.seed): place for place, copy in enumerate(copies)}
    return sorted(done, key=lambda made: order[made.trial, made.seed])


def _enter_retest(
    spec: RunSpec, paths: RunPaths, prepared: Prepared, finalists: list[TrialRecord], retests: list[Retest]
) -> None:
    task, numbers = task_of(spec.task), [trial.number for trial in finalists]
    judged = judge(retests, task, prepared.val_labels_N, numbers, seed=spec.data.split_seed)
    manifest, winner = Manifest.load(paths.manifest_json), finalists[0]
    manifest.best = {"trial": winner.number, "epoch": winner.best_epoch, task.objective.val_name: winner.best_value}
    manifest.retest = {**judged[0], "finalists": judged}
    manifest.save(paths.manifest_json)


def _test(record: RunRecord, winner: TrialRecord, prepared: Prepared, device: torch.device, config: Path) -> None:
    """Predict the test set, unless a process that died after it has: the same weights give the same numbers."""
    paths, epoch = record.paths, winner.best_epoch or 0
    manifest = Manifest.load(paths.manifest_json)
    done: dict[str, Any] = manifest.test or {}
    known = (done.get("trial"), done.get("epoch")) == (winner.number, epoch)
    if known and read_test_predictions(paths, winner.number, epoch) is not None:
        return
    tested = prepared.test(prepared.predictor(read_bundle(config), device), manifest.data)
    if not tested.as_recorded:
        raise RequestError(
            f"The test set of run {paths.name} changed while it ran: restore it, then `spectral-search resume "
            f"{paths.name}`."
        )
    task, table = record.task, tested.table
    write_test_predictions(paths, task, winner.number, epoch, table)
    measured = task.scores(column(table, task.predicted), column(table, task.target))
    manifest.test = {**measured, task.examples: len(table), **tested.about, "trial": winner.number, "epoch": epoch}
    manifest.save(paths.manifest_json)
