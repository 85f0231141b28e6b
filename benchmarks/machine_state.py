"""On what a benchmark ran, and how busy that was before it began."""

import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from spectral_search import __version__
from spectral_search.train.cpu_formats import CPU_FLAGS
from spectral_search.train.devices import cpu_count

_PACKAGES = ("torch", "ray", "optuna", "numpy", "h5py")
_WATCHED_SECONDS = 1.0
_BUSY_SHARE = 0.15
"""Part of the cores in use by others above which times are not to be trusted."""


@dataclass(frozen=True)
class Machine:
    """Hardware, versions and load.

    Attributes:
        date: Day and minute, UTC.
        processor: The CPU's model.
        cores: Cores that this process may use.
        memory_gb: RAM in GB.
        gpu: The first GPU's name; None without one.
        versions: Of Python and of the packages that matter.
        load: Mean number of running processes over the last minute, before the benchmark.
        busy_share: Part of all cores in use in the second before it.
    """

    date: str
    processor: str
    cores: int
    memory_gb: float
    gpu: str | None
    versions: dict[str, str]
    load: float
    busy_share: float

    @property
    def is_busy(self) -> bool:
        return self.busy_share > _BUSY_SHARE

    def document(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def sentence(self) -> str:
        """For people: what it ran on."""
        gpu = self.gpu or "no GPU"
        return f"{self.cores} cores of {self.processor}, {self.memory_gb:.0f} GB, {gpu}, torch {self.versions['torch']}"


def look_at_machine() -> Machine:
    """Describe this machine as it is now; takes a second."""
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="minutes"),
        processor=_processor(),
        cores=cpu_count(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        gpu=torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        versions={
            "python": platform.python_version(),
            "spectral-search": __version__,
            **{name: _version(name) for name in _PACKAGES},
        },
        load=round(os.getloadavg()[0], 2),
        busy_share=round(psutil.cpu_percent(_WATCHED_SECONDS) / 100.0, 3),
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    units = next((f" with {name}" for flag, name in CPU_FLAGS.items() if flag in flags), "")
    return (models[0] if models else platform.processor() or platform.machine()) + units


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
