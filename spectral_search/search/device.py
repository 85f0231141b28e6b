"""Devices and slots: what there is, and how many trials run on it at a time. Asks the driver, not torch, for GPUs."""

import os
from dataclasses import dataclass

import pynvml

from spectral_search.errors import RequestError
from spectral_search.spec.search import ResourcesSpec


@dataclass(frozen=True)
class Slots:
    """What a trial holds and how many run at a time."""

    cpus_per_trial: float
    gpus_per_trial: float
    concurrent: int
    gpus: tuple[int, ...]

    @property
    def device(self) -> str:
        """For people: what the trials run on."""
        if not self.gpus:
            return f"CPU, {self.concurrent} trials at a time with {self.cpus_per_trial:g} cores each"
        names = ",".join(map(str, self.gpus))
        return f"GPU {names}, {self.concurrent} trials at a time with {self.gpus_per_trial:g} GPU each"


def cpu_count() -> int:
    """Cores that this process may use, not those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[int]:
    """Indices of the GPUs that this process may use, by the NVIDIA driver and CUDA_VISIBLE_DEVICES."""
    try:
        pynvml.nvmlInit()
        count = int(pynvml.nvmlDeviceGetCount())
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return []
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is None:
        return list(range(count))
    return [int(name) for name in allowed.split(",") if name.strip().isdigit() and int(name) < count]


def plan_slots(resources: ResourcesSpec) -> Slots:
    """Turn `auto` into numbers for this machine.

    Raises:
        RequestError: A GPU is asked for that is not there, or a trial asks for more than there is.
    """
    found, cores = visible_gpus(), cpu_count()
    gpus = found if resources.gpus == "auto" else list(resources.gpus)
    missing = [gpu for gpu in gpus if gpu not in found]
    if missing:
        there = f"GPUs {', '.join(map(str, found))}" if found else "no GPU"
        raise RequestError(
            f"GPU {', '.join(map(str, missing))} was asked for and this machine has {there}: change --gpus or "
            "resources.gpus (an empty list runs on the CPU)."
        )
    gpus_per_trial = (1.0 if gpus else 0.0) if resources.gpus_per_trial == "auto" else resources.gpus_per_trial
    if gpus_per_trial > 0 and not gpus:
        raise RequestError("resources.gpus_per_trial asks for a GPU and this machine has none: leave it at auto.")
    if gpus_per_trial > max(1, len(gpus)):
        raise RequestError(f"resources.gpus_per_trial is {gpus_per_trial:g} and there are {len(gpus)} GPUs.")
    slots = int(len(gpus) / gpus_per_trial + 1e-9) if gpus_per_trial else cores
    cpus = resources.cpus_per_trial
    cpus_per_trial = max(1.0, cores // max(1, slots)) if cpus == "auto" else cpus
    if cpus_per_trial > cores:
        raise RequestError(f"resources.cpus_per_trial is {cpus_per_trial:g} and this machine has {cores} cores.")
    concurrent = max(1, min(slots, int(cores / cpus_per_trial + 1e-9)))
    if resources.concurrent is not None and resources.concurrent < concurrent:
        # Fewer trials than slots: the cores of the empty slots go to the trials there are.
        concurrent = resources.concurrent
        cpus_per_trial = cores // concurrent if cpus == "auto" else cpus_per_trial
    return Slots(float(cpus_per_trial), float(gpus_per_trial), concurrent, tuple(gpus))
