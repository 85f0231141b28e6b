"""Whether the training spectra of a search stay in memory, and in which number format, from measured sizes."""

from dataclasses import dataclass
from typing import Self

from spectral_search.record.wording import size
from spectral_search.spec.run import RunSpec
from spectral_search.spec.search import ResourcesSpec
from spectral_search.task.data_plan import DEVICE_SHARE
from spectral_search.tasks.spectra.shards.loaded_spectra import bytes_in_memory
from spectral_search.tasks.spectra.shards.split import Selection, Splits
from spectral_search.train.devices import gpus_for, smallest_gpu_bytes
from spectral_search.train.free_memory import host_memory

HOST_SHARE = 0.4
"""Part of the free memory that resident spectra may fill: the driver's copy and that of the trials, and room."""
_FORMATS = ("float32", "float16")
SMALL_BYTES = 1 << 30
"""Flux and error of a selection that is not worth readers: starting them takes longer than reading it here."""


@dataclass(frozen=True)
class Room:
    """Memory that resident spectra may fill.

    Attributes:
        free_bytes: Free memory of this machine.
        gpu_bytes: What a process may fill of the smallest GPU; None without a GPU.
    """

    free_bytes: int
    gpu_bytes: float | None = None

    @classmethod
    def here(cls, resources: ResourcesSpec) -> Self:
        """Of this machine."""
        free, gpus = host_memory().free, gpus_for(resources)
        if not gpus:
            return cls(free)
        share = 1.0 if resources.gpus_per_trial == "auto" else min(1.0, resources.gpus_per_trial)
        return cls(free, DEVICE_SHARE * share * smallest_gpu_bytes(gpus))

    def best(self, needed: dict[str, int]) -> str | None:
        """The first format that fits a GPU, else the first that fits this machine's memory, else None."""
        fitting = [form for form, count in needed.items() if count <= HOST_SHARE * self.free_bytes]
        on_gpu = [form for form in fitting if self.gpu_bytes is not None and needed[form] <= self.gpu_bytes]
        return next(iter(on_gpu + fitting), None)


def reads_on_ray(resources: ResourcesSpec, selection: Selection) -> bool:
    """Whether processes of Ray Data read a selection anew each epoch, or a thread of the process that trains.

    To hand spectra over from another process costs more than to copy them from a file, but decompressing them costs
    several times as much as both.
    """
    return resources.reader == "ray" or (resources.reader == "auto" and selection.is_compressed)


def loads_on_ray(resources: ResourcesSpec, selection: Selection) -> bool:
    """Whether processes of Ray Data read a selection that is read once: not if it is so small that they do not pay."""
    small = 2 * 4 * len(selection) * selection.pixels <= SMALL_BYTES
    return not small and reads_on_ray(resources, selection)


def tell_reader(resources: ResourcesSpec, selection: Selection) -> str:
    """What reads a streamed training set, and why."""
    who = "processes of Ray Data" if reads_on_ray(resources, selection) else "a thread of the process that trains"
    kind = "compressed" if selection.is_compressed else "not compressed"
    why = f"they are {kind}" if resources.reader == "auto" else "as resources.reader says"
    return f"The next spectra are read meanwhile by {who} ({why})."


def decide_residency(spec: RunSpec, splits: Splits, room: Room) -> tuple[RunSpec, str]:
    """Resolve data.residency and data.stored_as, and say why in a sentence.

    Both belong to the spec from here on: a resident set is shuffled as a whole and a streamed one by windows, and
    float16 rounds, so a run that is resumed when less memory is free must not change its mind.
    """
    data = spec.data
    formats = _FORMATS if data.stored_as == "auto" else (data.stored_as,)
    needed = {form: bytes_in_memory(splits.train, stored_as=form) for form in formats}
    best = room.best(needed)
    resident = data.residency == "resident" or (data.residency == "auto" and best is not None)
    # A set that is wanted in memory and fits in no format is kept in the smallest.
    form = (best or formats[-1]) if resident else formats[0]
    update = {"residency": "resident" if resident else "stream", "stored_as": form}
    how = f"read once, kept in memory as {form}" if resident else "streamed anew each epoch"
    why = "" if data.residency == "auto" else ", as data.residency says"
    sizes = " or ".join(f"{size(count)} as {name}" for name, count in needed.items())
    told = f"{len(splits.train):,} training spectra take {sizes}, {size(room.free_bytes)} are free: {how}{why}."
    return spec.model_copy(update={"data": data.model_copy(update=update)}), told
