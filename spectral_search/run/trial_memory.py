"""What a process that trains trials of a search takes of its machine's memory, beside the examples."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from spectral_search.run.cluster_slots import NodeMemory
from spectral_search.run.memory_corners import Corners, Sized
from spectral_search.spec.run import RunSpec
from spectral_search.task.data_plan import Traits
from spectral_search.train.capacity import Footprint, together
from spectral_search.train.memory_wording import advice

PROCESS_BYTES = 250 << 20
"""What a process that trains takes of the host for its libraries."""


def trial_bytes(crowd: Sequence[Footprint], *, gpu: bool, shared: bool) -> int:
    """Of the host, what trials take that are trained at a time.

    Args:
        crowd: What each needs.
        gpu: Whether they have one: the host then has weights only while they are saved, all of them at once at worst.
        shared: Whether they are members of one pass, rather than a process each.
    """
    if gpu:
        return sum(one.save for one in crowd)
    return together(crowd) if shared else sum(one.peak for one in crowd)


@dataclass(frozen=True)
class GivenMemory:
    """See `NodeMemory`: a trial takes what the spec says.

    Attributes:
        each: Bytes for a trial, its process included.
    """

    each: int

    def least(self, members: int = 1, *, gpu: bool) -> int:
        return self.each * members

    def most(self, members: int = 1, *, gpu: bool) -> int:
        return self.each * members

    def advice(self, *, gpu: bool) -> str:
        return "lower resources.memory_gb_per_trial"


class EstimatedMemory:
    """See `NodeMemory`: a trial takes what its network is estimated to need.

    Examples that are kept are not among it: they lie in the object store of each node, which Ray counts apart.

    Args:
        spec: The search, its residency decided.
        traits: What its data are.
    """

    def __init__(self, spec: RunSpec, traits: Traits) -> None:
        self._spec, self._traits = spec, traits

    def least(self, members: int = 1, *, gpu: bool) -> int:
        return self._bytes(self._of(gpu).smallest, members, gpu)

    def most(self, members: int = 1, *, gpu: bool) -> int:
        return self._bytes(self._of(gpu).largest, members, gpu)

    def advice(self, *, gpu: bool) -> str:
        smallest = self._of(gpu).smallest
        return advice(smallest.config, smallest.footprint)

    def largest(self, *, gpu: bool) -> Sized:
        """The trial that needs the most."""
        return self._of(gpu).largest

    def _bytes(self, one: Sized, members: int, gpu: bool) -> int:
        if self._spec.resources.allow_oversize:  # the estimate is said to be wrong
            return 0
        beside = PROCESS_BYTES + self._traits.window_bytes
        return beside + trial_bytes([one.footprint] * members, gpu=gpu, shared=True)

    def _of(self, gpu: bool) -> "_Extremes":
        return self._on_gpu if gpu else self._on_cpu

    # Kept, since a cluster asks for every number of members and at every look for room.
    @cached_property
    def _on_cpu(self) -> "_Extremes":
        return self._extremes(gpu=False)

    @cached_property
    def _on_gpu(self) -> "_Extremes":
        return self._extremes(gpu=True)

    def _extremes(self, *, gpu: bool) -> "_Extremes":
        corners = Corners(self._spec, self._traits.values, self._traits.train, gpu=gpu)
        if not self._spec.search.exhaustive:
            return _Extremes(corners.smallest(), corners.largest())
        points = corners.grid()
        largest = max(points, key=lambda sized: sized.footprint.peak) if points else corners.largest()
        return _Extremes(largest, largest)


class _Extremes(NamedTuple):
    """What must fit, something of a space and of a grid everything; and the trial that needs the most."""

    smallest: Sized
    largest: Sized


def node_memory(spec: RunSpec, traits: Traits) -> NodeMemory:
    """What trials of a search take of a node's memory: as the spec says, else as is estimated."""
    given = spec.resources.memory_bytes_per_trial
    return EstimatedMemory(spec, traits) if given is None else GivenMemory(given)
