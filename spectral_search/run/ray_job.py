"""What processes of a run on Ray are given, and what they show of their trials."""

import socket
from dataclasses import dataclass

import ray
import torch
from ray.util import metrics

from spectral_search.record.epoch_log import EpochRecord
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.task.registry import task_of
from spectral_search.task.training import Reader, TrainingSet
from spectral_search.train.trainer import Trainer


@dataclass(frozen=True)
class Job:
    """What every process of a run needs; Ray shares its arrays on a node without copying them."""

    spec: RunSpec
    paths: RunPaths
    dataset: TrainingSet
    threads: int
    share: float
    """Part of a GPU that a process may fill."""
    members: int = 1
    """Trials of one process at a time."""

    def trainer(self) -> Trainer:
        """The data on this process's device."""
        torch.set_num_threads(self.threads)
        gpus = ray.get_gpu_ids()
        if gpus and not torch.cuda.is_available():
            raise RuntimeError(
                f"Ray gave GPU {', '.join(map(str, gpus))} of {socket.gethostname()}, and torch {torch.__version__} "
                "sees none there: install a torch with CUDA on that node, mend its driver, or run with --gpus none."
            )
        device = torch.device("cuda" if gpus else "cpu")
        return Trainer(self.dataset, device, self.reader(), self.share, self.spec.resources.allow_oversize)

    def reader(self) -> Reader:
        """What reads examples that do not stay in memory."""
        return self.dataset.reader(self.spec)


class TrialGauges:
    """Epoch and objective of trials, for the Ray dashboard and whatever reads its metrics."""

    def __init__(self, job: Job) -> None:
        self._run, objective = job.paths.name, task_of(job.spec.task).objective
        told = {objective.val_name: f"{objective.label} on the val set", "epoch": "Epochs trained"}
        self._gauges = {
            name: metrics.Gauge(f"spectral_search_{name}", text, tag_keys=("run", "trial"))
            for name, text in told.items()
        }

    def show(self, number: int, record: EpochRecord) -> None:
        """Show a trial's last epoch."""
        for name, gauge in self._gauges.items():
            gauge.set(record[name], {"run": self._run, "trial": str(number)})
