"""The executor without Ray: one trial after the other in this process, for a breakpoint and for fast tests."""

from functools import partial

import torch

from spectral_search.data.dataset import Dataset
from spectral_search.errors import DiskFullError
from spectral_search.fit.trainer import Trainer
from spectral_search.results.paths import RunPaths
from spectral_search.search.study import LiveTrial, Study
from spectral_search.search.trial import RETRIES, GuardedTrial, TrialRun
from spectral_search.spec.run import RunSpec


def run_inline(spec: RunSpec, paths: RunPaths, study: Study, dataset: Dataset, device: torch.device) -> None:
    """Run a search to its end on one device."""
    trainer = Trainer(dataset, device)
    while (trial := study.next_trial()) is not None:
        for attempt in range(RETRIES + 1):
            begin = partial(TrialRun, trainer, spec, paths, trial.number, trial.params, trial.last_epoch)
            run = GuardedTrial(paths.trial(trial.number), begin)
            if not _run_trial(study, trial, run, last=attempt == RETRIES):
                break


def _run_trial(study: Study, trial: LiveTrial, run: GuardedTrial, last: bool) -> bool:
    """Train a trial to its end; whether to try again from its checkpoint."""
    while True:
        step, number = run.next_epoch(), trial.number
        if step.full is not None:
            raise DiskFullError(step.full)
        if step.note is not None:
            study.note(number, step.note)
        if step.failure is not None:
            if step.retry and not last:
                study.note(number, f"Tried again after epoch {trial.last_epoch}: {step.failure}")
                return True
            study.finish(number, "failed", step.failure)
            return False
        stop = step.record is not None and study.report(number, step.record)
        if stop or step.done:
            study.finish(number, "stopped" if stop else "complete")
            return False
