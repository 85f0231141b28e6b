"""What processes of a run on Ray are given, and what they show of their trials."""

import socket
from dataclasses import dataclass

import ray
import torch
from ray.util import metrics

from spectral_search.record.epoch_log import EpochRecord
from spectral_search.record.paths import RunPaths
from spectral_search.spec.run import RunSpec
from spectral_search.task.metric import Metric
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


TRIAL_TAGS, PROCESS_TAGS = ("run", "trial"), ("run",)
_EXPORTED = "spectral_search_"


def trial_metrics(objective: Metric) -> dict[str, str]:
    """Names of what is told of each trial, as they are registered with Ray, and what they are."""
    told = {
        objective.val_name: f"{objective.headed} on the val set after the last epoch",
        "best": f"Best {objective.headed} on the val set so far",
        "epoch": "Epochs trained",
        "examples_per_second": "Training examples a second in the last epoch",
    }
    return {_EXPORTED + name: text for name, text in told.items()}


def process_metrics() -> dict[str, str]:
    """Likewise of each process that trains; Ray itself adds which one it is."""
    told = {
        "members": "Trials that trained in the last pass over the data",
        "gpu_memory_bytes": "Memory of its GPU that the process holds; 0 without one",
    }
    return {_EXPORTED + name: text for name, text in told.items()}


class TrialGauges:
    """How trials and the processes that train them stand, for the Ray dashboard and whatever reads its metrics."""

    def __init__(self, job: Job) -> None:
        task = task_of(job.spec.task)
        self.objective = task.objective
        self._run, self._rate = job.paths.name, f"{task.examples}_per_second"
        of_trial, of_process = trial_metrics(self.objective), process_metrics()
        self._gauges = {name: metrics.Gauge(name, text, tag_keys=TRIAL_TAGS) for name, text in of_trial.items()}
        self._gauges |= {name: metrics.Gauge(name, text, tag_keys=PROCESS_TAGS) for name, text in of_process.items()}

    def show(self, number: int, record: EpochRecord, best: float | None, members: int) -> None:
        """Show a trial's last epoch.

        Args:
            number: The trial.
            record: Of the epoch.
            best: The trial's best value so far; that of the epoch where absent.
            members: As of `Step`.
        """
        value = record[self.objective.val_name]
        told = {
            self.objective.val_name: value,
            "best": value if best is None else best,
            "epoch": record["epoch"],
            "examples_per_second": record.get(self._rate, 0.0),
        }
        for name, amount in told.items():
            self._gauges[_EXPORTED + name].set(amount, {"run": self._run, "trial": str(number)})
        held = torch.cuda.memory_reserved() if torch.cuda.is_initialized() else 0
        # An epoch that is told from a checkpoint says nothing of the last pass.
        of_process = {"gpu_memory_bytes": held} | ({"members": members} if members else {})
        for name, amount in of_process.items():
            self._gauges[_EXPORTED + name].set(amount, {"run": self._run})
