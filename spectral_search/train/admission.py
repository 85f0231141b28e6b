"""Whether a network still fits beside those that a process trains, asked before anything of it is allocated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from spectral_search.errors import RequestError
from spectral_search.record.wording import size
from spectral_search.spec.run import TrialConfig
from spectral_search.train.capacity import Footprint, footprint, together
from spectral_search.train.free_memory import Memory, host_memory
from spectral_search.train.memory_wording import advice, needs
from spectral_search.train.process_memory import return_freed_memory

Beside = tuple[TrialConfig, bool]
"""A trial that trains in this process, and whether it holds already all that it holds between steps."""


class TooLargeError(RequestError):
    """A network needs more memory than there is."""


class NoRoomError(MemoryError):
    """A network needs more memory than is free at the moment; on another day, or alone, it may fit."""


def _device_memory(device: torch.device) -> Memory:
    """What a process may still take of a device, what it freed and kept included."""
    if device.type != "cuda":
        return host_memory()
    free, total = torch.cuda.mem_get_info(device)
    return Memory(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device), total)


@dataclass(frozen=True)
class Admission:
    """Lets networks into a process as long as its device has room for them.

    Attributes:
        device: Where they train.
        examples: Of the training set.
        values: Of an example.
        memory: What the device has; asked anew for each network.
        allow_oversize: Whether to let in what is estimated not to fit.
    """

    device: torch.device
    examples: int
    values: int
    memory: Callable[[torch.device], Memory] = _device_memory
    allow_oversize: bool = False

    def check(self, config: TrialConfig, beside: Callable[[], Sequence[Beside]] = tuple) -> None:
        """Refuse a network that does not fit.

        Args:
            config: The network's trial.
            beside: Gives the trials that train in this process.

        Raises:
            TooLargeError: It can never fit here.
            NoRoomError: It does not fit now.
        """
        if self.allow_oversize:
            return
        own = self._footprint(config)
        needed, found = self._needed(own, beside()), self.memory(self.device)
        if needed > found.free:
            # Only at need: pages that were given back have to be asked of the system again.
            return_freed_memory()
            needed, found = self._needed(own, beside()), self.memory(self.device)
        told, remedy = needs(config, own), advice(config, own)
        # By all the memory there is: what exceeds that need not wait for more to be free.
        if self._together([own]) > found.total:
            raise TooLargeError(f"{told}, and {self._where} has {size(found.total)}: {remedy}.")
        if needed > found.free:
            company = f", {size(needed)} with what those beside it have yet to take" if beside() else ""
            free = f"{size(found.free)} of {size(found.total)} are free"
            raise NoRoomError(f"{told}{company}, and {free} on {self._where}: {remedy}.")

    def _needed(self, own: Footprint, beside: Sequence[Beside]) -> int:
        """What is yet to be taken: what others hold is no longer free, and not asked for once more."""
        others = [(self._footprint(config), begun) for config, begun in beside]
        return self._together([own, *(replace(other, state=0) if begun else other for other, begun in others)])

    def _footprint(self, config: TrialConfig) -> Footprint:
        return footprint(config, self.values, examples=self.examples, gpu=self.device.type == "cuda")

    def _together(self, members: Sequence[Footprint]) -> int:
        return together(members, gpu=self.device.type == "cuda")

    @property
    def _where(self) -> str:
        return "the GPU" if self.device.type == "cuda" else "this machine"
