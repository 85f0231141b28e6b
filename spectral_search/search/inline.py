"""The executor without Ray: one trial after the other in this process, for a breakpoint and for fast tests."""

import torch

from spectral_search.data.dataset import Dataset
from spectral_search.errors import RequestError
from spectral_search.fit.trainer import Trainer
from spectral_search.results.paths import RunPaths
from spectral_search.search.study import Study
from spectral_search.search.trial import Step, TrialRun, failure, guarded_epoch
from spectral_search.spec.run import RunSpec


def run_inline(spec: RunSpec, paths: RunPaths, study: Study, dataset: Dataset, device: torch.device) -> None:
    """Run a search to its end on one device."""
    trainer = Trainer(dataset, device)
    while (trial := study.next_trial()) is not None:
        number = trial.number
        try:
            run = TrialRun(trainer, spec, paths, number, trial.params, trial.last_epoch)
        except (RequestError, RuntimeError, ValueError) as error:
            study.finish(number, "failed", failure(paths, number, error).failure)
            continue
        _run_trial(study, paths, number, run)


def _run_trial(study: Study, paths: RunPaths, number: int, run: TrialRun) -> None:
    while True:
        step: Step = guarded_epoch(run, paths, number)
        stop = step.record is not None and study.report(number, step.record)
        if step.failure is not None:
            return study.finish(number, "failed", step.failure)
        if step.done or stop:
            return study.finish(number, "complete" if step.done else "stopped")
