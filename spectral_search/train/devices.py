"""Devices and slots: what there is, and how many trials run on it at a time. Asks the driver, not torch, for GPUs."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import pynvml

from spectral_search.errors import RequestError
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.free_memory import Memory


@dataclass(frozen=True)
class Slots:
    """What a trial holds and how many run at a time.

    Attributes:
        cpus_per_trial: Cores; of a whole pass where trials share passes.
        gpus_per_trial: GPUs, possibly a fraction of one; likewise.
        concurrent: Trials at a time; for a cluster the most that were asked for, 0 when its size decides.
        gpus: Indices of this machine's GPUs, as the driver counts them.
        address: The Ray cluster to join, whose own cores and GPUs count; None runs on this machine.
        passes: Shared passes at a time; 0 where each trial has its own.
        members: Trials of a shared pass at most.
        memory_bytes: Of a cluster's node, for a trial or a whole pass; 0 where Ray does not count it, as on one
            machine, whose plan has held all trials against what is free.
    """

    cpus_per_trial: float
    gpus_per_trial: float
    concurrent: int
    gpus: tuple[int, ...]
    address: str | None = None
    passes: int = 0
    members: int = 1
    memory_bytes: int = 0

    @property
    def device(self) -> str:
        """For people: what the trials run on."""
        if self.address is not None:
            most = (
                f"at most {_counted(self.concurrent, 'trial')} at a time" if self.concurrent else "as many as it holds"
            )
            return f"Ray cluster at {self.address}, {most}"
        trials = f"{_counted(self.concurrent, 'trial')} at a time"
        if self.passes:
            return self._shared_device(trials)
        if not self.gpus:
            return f"CPU, {trials} with {_counted(self.cpus_per_trial, 'core')} each"
        return f"{_named(self.gpus)}, {trials} with {_counted(self.gpus_per_trial, 'GPU')} each"

    def _shared_device(self, trials: str) -> str:
        if not self.gpus:
            return f"CPU, {trials} in one shared pass on {_counted(self.cpus_per_trial, 'core')}"
        return f"{_named(self.gpus)}, {trials} in {self.passes} shared pass{'es' if self.passes > 1 else ''}"


def _named(gpus: tuple[int, ...]) -> str:
    return f"GPU{'s' if len(gpus) > 1 else ''} {', '.join(map(str, gpus))}"


def _counted(number: float, what: str) -> str:
    return f"{number:.3g} {what}{'' if number <= 1 else 's'}"


def cpu_count() -> int:
    """Cores that this process may use, not those of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus(environ: Mapping[str, str] = os.environ) -> list[int]:
    """Indices of the GPUs that torch can use here, by the NVIDIA driver and CUDA_VISIBLE_DEVICES, in its order."""
    if not _torch_has_cuda():
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        allowed = environ.get("CUDA_VISIBLE_DEVICES")
        return chosen_gpus(allowed, {_uuid(index): index for index in range(pynvml.nvmlDeviceGetCount())})
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def gpus_for(resources: ResourcesSpec) -> list[int]:
    """This machine's GPUs that a run will use; none when a cluster's own count."""
    if resources.address is not None:
        return []
    return visible_gpus() if resources.gpus == "auto" else list(dict.fromkeys(resources.gpus))


def smallest_gpu_bytes(gpus: Iterable[int]) -> int:
    """Memory of the smallest of these GPUs."""
    pynvml.nvmlInit()
    try:
        return min(int(pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(gpu)).total) for gpu in gpus)
    finally:
        pynvml.nvmlShutdown()


def gpu_memory(gpus: Iterable[int]) -> Memory:
    """What is free, and what there is, of these GPUs: of each the least. Asks the driver, and starts no CUDA."""
    pynvml.nvmlInit()
    try:
        infos = [pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(gpu)) for gpu in gpus]
        return Memory(min(int(info.free) for info in infos), min(int(info.total) for info in infos))
    finally:
        pynvml.nvmlShutdown()


def chosen_gpus(allowed: str | None, index_of: Mapping[str, int]) -> list[int]:
    """What CUDA makes of CUDA_VISIBLE_DEVICES: indices or beginnings of UUIDs, up to the first that names no GPU.

    Args:
        allowed: The variable; None when it is not set.
        index_of: UUID -> index of each GPU.
    """
    if allowed is None:
        return sorted(index_of.values())
    chosen: list[int] = []
    for name in map(str.strip, allowed.split(",")):
        matches = [index for uuid, index in index_of.items() if name == str(index) or (name and uuid.startswith(name))]
        if len(matches) != 1:
            break
        chosen += matches
    return chosen


def _uuid(index: int) -> str:
    return str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(index)))


@cache  # reads and parses a file of torch's installation
def _torch_has_cuda() -> bool:
    try:
        return "+cpu" not in version("torch")
    except PackageNotFoundError:
        return False


def plan_slots(resources: ResourcesSpec, executor: str = "separate", members: int = 1) -> Slots:
    """Turn `auto` into numbers for this machine.

    Args:
        resources: The spec's section.
        executor: separate: a process a trial; shared: a pass a GPU, or one on all cores; inline: one pass in this
            process, which has all cores and the first GPU.
        members: Trials that one pass may have.

    Raises:
        RequestError: A GPU is asked for that is not there, or a trial asks for more than there is.
    """
    if resources.address is not None:
        return Slots(0.0, 0.0, resources.concurrent or 0, (), resources.address, int(executor == "shared"), members)
    found, cores = visible_gpus(), cpu_count()
    # A GPU that is named twice is one GPU.
    gpus = found if resources.gpus == "auto" else list(dict.fromkeys(resources.gpus))
    if missing := [gpu for gpu in gpus if gpu not in found]:
        raise RequestError(_missing_gpus(missing, found))
    if executor != "separate":
        used = tuple(gpus[:1] if executor == "inline" else gpus)
        passes = max(1, len(used))
        concurrent = resources.concurrent or members * passes
        # A pass that no trial is left for would hold its share of the cores for nothing.
        passes = min(passes, concurrent)
        return Slots(cores / passes, 1.0 if used else 0.0, concurrent, used, None, passes, members)
    wanted, cpus = resources.concurrent, resources.cpus_per_trial
    gpus_per_trial = _gpus_per_trial(resources, len(gpus))
    slots = gpu_slots(len(gpus), gpus_per_trial) if gpus_per_trial else cores
    cpus_per_trial = max(1.0, cores // max(1, slots)) if cpus == "auto" else cpus
    if cpus_per_trial > cores:
        raise RequestError(
            f"resources.cpus_per_trial asks for {cpus_per_trial:g} cores and this machine has {cores}: ask for fewer."
        )
    concurrent = max(1, min(slots, int(cores / cpus_per_trial + 1e-9)))
    if wanted is not None and wanted < concurrent:
        # Fewer trials than slots: the cores of the empty slots go to the trials there are.
        concurrent = wanted
        cpus_per_trial = cores // concurrent if cpus == "auto" else cpus_per_trial
    return Slots(float(cpus_per_trial), gpus_per_trial, concurrent, tuple(gpus))


def gpu_slots(gpus: int, per_trial: float) -> int:
    """Trials that fit on so many GPUs: a fraction must fit on one of them, more than one must be whole ones."""
    # 1e-9, since the quotient of a rounded fraction may fall just short of a whole number.
    if per_trial > 1:
        return int(gpus / per_trial + 1e-9)
    return gpus * int(1.0 / per_trial + 1e-9)


def _gpus_per_trial(resources: ResourcesSpec, gpus: int) -> float:
    """GPUs of one trial; left open, a whole one, or the fraction that as many trials at a time as asked for need."""
    asked = resources.gpus_per_trial
    if asked == "auto":
        return 1.0 / max(1, math.ceil((resources.concurrent or 1) / gpus)) if gpus else 0.0
    if asked > 0 and not gpus:
        raise RequestError(f"resources.gpus_per_trial asks for {asked:g} and the run has no GPU: leave it at auto.")
    if asked > max(1, gpus):
        raise RequestError(f"resources.gpus_per_trial asks for {asked:g} and the run has {gpus} GPU: ask for fewer.")
    return asked


def _missing_gpus(missing: list[int], found: list[int]) -> str:
    names = ", ".join(map(str, missing))
    if found:
        there, remedy = f"GPU {', '.join(map(str, found))}", "choose among these"
    elif _torch_has_cuda():
        there, remedy = "no GPU", "leave --gpus out to run on the CPU"
    else:
        there, remedy = "a torch built without CUDA", "leave --gpus out to run on the CPU"
    return f"GPU {names} was asked for and this machine has {there}: {remedy}."
