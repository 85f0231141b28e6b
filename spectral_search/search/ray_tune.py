"""The executor on Ray: every trial an ordinary Ray Tune trial, proposed, stopped and recorded by the study.

Ray Tune schedules processes, retries what died and spreads trials over nodes. What a trial is, when it stops and what
is remembered is the study's: Tune's own snapshots are neither needed nor read.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.util import metrics

from spectral_search.data.dataset import Dataset
from spectral_search.data.source import iter_blocks_ray
from spectral_search.fit.member import EpochRecord
from spectral_search.fit.trainer import Trainer
from spectral_search.results.paths import RunPaths
from spectral_search.search.device import Slots
from spectral_search.search.study import Study
from spectral_search.search.trial import Step, TrialRun, failure, guarded_epoch
from spectral_search.spec.run import RunSpec

RETRIES = 3
"""How often a trial whose process or node died is started again from its checkpoint."""


@dataclass(frozen=True)
class Job:
    """What every trial of a run needs; Ray shares its arrays on a node without copying them."""

    spec: RunSpec
    paths: RunPaths
    dataset: Dataset
    threads: int


class SpectralTrial(tune.Trainable):
    """A trial in a process that Ray gave it; the process and its data serve further trials when this one ends."""

    def setup(self, config: dict[str, Any], job: Job | None = None) -> None:
        if job is None:
            raise ValueError("SpectralTrial is started with a job")
        torch.set_num_threads(job.threads)
        self._job = job
        device = torch.device("cuda" if ray.get_gpu_ids() else "cpu")
        self._trainer = Trainer(job.dataset, device, iter_blocks_ray)
        self._gauges = {
            name: metrics.Gauge(f"spectral_search_{name}", text, tag_keys=("run", "trial"))
            for name, text in (("val_r2", "R2 of log g on the val set"), ("epoch", "Epochs trained"))
        }
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial; called by Ray Tune to reuse the process."""
        self._number = int(new_config["number"])
        self._run: TrialRun | None = None
        self._broken: Step | None = None
        try:
            self._run = TrialRun(
                self._trainer,
                self._job.spec,
                self._job.paths,
                self._number,
                new_config["params"],
                int(new_config["recorded"]),
            )
        except Exception as error:
            # Raised here it would be retried and then buried in Ray's own words.
            self._broken = failure(self._job.paths, self._number, error)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        step = self._broken
        if self._run is not None:
            step = guarded_epoch(self._run, self._job.paths, self._number)
        if step is None:
            raise ValueError("the trial was not set up")
        for name, gauge in self._gauges.items():
            if step.record is not None:
                gauge.set(step.record[name], {"run": self._job.paths.name, "trial": str(self._number)})
        # Beside the record for the study, the two numbers that other readers of Tune's results look for.
        seen = {name: step.record[name] for name in ("epoch", "val_r2")} if step.record is not None else {}
        return {"done": step.done, "failure": step.failure, "record": step.record, **seen}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: checkpoints are written into the run's folder at their own time."""

    def load_checkpoint(self, checkpoint: object) -> None:
        """Nothing: a trial looks for its checkpoint when it begins."""


def _record(flat_result: dict[str, Any]) -> EpochRecord | None:
    """The epoch in a result, which Ray Tune hands on flattened; None where the trial failed before one."""
    found = {key.removeprefix("record/"): v for key, v in flat_result.items() if key.startswith("record/")}
    return found or None


class StudySearcher(Searcher):
    """Hands Ray Tune the study's trials and tells the study how they ended."""

    def __init__(self, study: Study) -> None:
        super().__init__(metric="val_r2", mode="max")
        self._study: Study | None = study
        self.numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        trial = self.study.next_trial()
        if trial is None:
            return Searcher.FINISHED
        self.numbers[trial_id] = trial.number
        return {"number": trial.number, "params": trial.params, "recorded": trial.last_epoch}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self.numbers[trial_id]
        if error:
            self.study.finish(
                number, "failed", f"The trial's process died {RETRIES + 1} times, the last time for good."
            )
        elif result is not None:
            record = _record(result)
            if record is not None:
                self.study.report(number, record)
            failed = result.get("failure")
            self.study.finish(number, "failed" if failed else "complete", failed)

    @property
    def study(self) -> Study:
        if self._study is None:
            raise RuntimeError("this searcher was unpickled; only the driver's own can be asked")
        return self._study

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher into a snapshot. The study, and its database password, stay out of it.
        return {**self.__dict__, "_study": None}

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the study is durable by itself."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore: a resumed run opens its study."""


class StudyScheduler(FIFOScheduler):
    """Records each epoch in the study and stops a trial when the study's pruner says so."""

    def __init__(self, searcher: StudySearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]) -> str:
        number = self._searcher.numbers[trial.trial_id]
        study = self._searcher.study
        record = _record(result)
        if record is not None and study.report(number, record):
            study.finish(number, "stopped")
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)


def run_on_ray(spec: RunSpec, paths: RunPaths, study: Study, dataset: Dataset, slots: Slots) -> None:
    """Run a search to its end on the Ray cluster that this process is connected to."""
    searcher = StudySearcher(study)
    job = Job(spec, RunPaths(paths.root.absolute(), paths.name), dataset, max(1, int(slots.cpus_per_trial)))
    trainable = tune.with_resources(
        tune.with_parameters(SpectralTrial, job=job), {"cpu": slots.cpus_per_trial, "gpu": slots.gpus_per_trial}
    )
    with tempfile.TemporaryDirectory(prefix="spectral-search-") as scratch:
        tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                metric="val_r2",
                mode="max",
                search_alg=searcher,
                scheduler=StudyScheduler(searcher),
                num_samples=study.planned,
                max_concurrent_trials=slots.concurrent,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: f"{trial.config['number']:04d}",
            ),
            run_config=tune.RunConfig(
                name=paths.name,
                storage_path=str(Path(scratch).absolute()),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
