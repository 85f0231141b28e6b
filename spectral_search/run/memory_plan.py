"""Whether the trials of a search fit into memory, as many at a time as planned, before anything is started.

Compared is what `footprint` estimates, and the examples, with what is free at the moment. Small things are left out:
what Ray's own processes take, and what reads a compressed set. On a cluster, whose nodes are known only when it is
joined, nothing is compared beforehand but held against each of them then (`trial_memory`). There, as everywhere, a
trial that does not fit fails before it allocates (`Admission`).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spectral_search.errors import RequestError
from spectral_search.record.wording import params_text, size
from spectral_search.run.executor_choice import Executor
from spectral_search.run.memory_corners import DRAWS, Corners, Sized
from spectral_search.run.trial_memory import PROCESS_BYTES, EstimatedMemory, node_memory, trial_bytes
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.space_points import planned_trials
from spectral_search.task.data_plan import DEVICE_SHARE, Traits
from spectral_search.train.capacity import Footprint, together
from spectral_search.train.devices import Slots, gpu_memory
from spectral_search.train.free_memory import Memory, host_memory
from spectral_search.train.memory_wording import advice, needs

_CONTEXT_BYTES = 500 << 20
"""What a process that trains takes of a GPU for its context."""
_LISTED = 3


@dataclass(frozen=True)
class Unused:
    """Memory to plan with.

    Attributes:
        host: Of this machine, or what this process may have of it.
        gpu: Of the GPU with the least; None without one.
    """

    host: Memory
    gpu: Memory | None = None

    @classmethod
    def here(cls, slots: Slots) -> "Unused":
        """Of this machine and the GPUs that trials will run on."""
        return cls(host_memory(), gpu_memory(slots.gpus) if slots.gpus else None)


@dataclass(frozen=True)
class MemoryPlan:
    """What came of it.

    Attributes:
        concurrent: Trials at a time that fit, as many as planned at most.
        largest_bytes: What the largest trial needs, as far as is known.
        free_bytes: What is free where it trains; None for a cluster.
        notes: What the user should know, a sentence each.
        process_bytes: Of a machine's memory for a process that trains one trial of the largest network; None where it
            is not asked for, as on one machine that the spec says nothing of.
    """

    concurrent: int
    largest_bytes: int
    free_bytes: int | None
    notes: tuple[str, ...] = ()
    process_bytes: int | None = None


def plan_memory(
    spec: RunSpec, traits: Traits, executor: Executor, slots: Slots, unused: Unused, *, way_out: str | None = None
) -> MemoryPlan:
    """Hold trials against memory; those of a cluster are only sized.

    Args:
        spec: The search, its residency decided.
        traits: What its data are.
        executor: What trains them.
        slots: How many at a time.
        unused: What there is.
        way_out: What to do about a refusal, where the network cannot be changed.

    Returns:
        What fits.

    Raises:
        RequestError: The fixed network, a point of the grid, or every point of the space does not fit.
    """
    if slots.address is not None:
        largest = EstimatedMemory(spec, traits).largest(gpu=False).footprint.peak
        return MemoryPlan(slots.concurrent, largest, None, process_bytes=node_memory(spec, traits).most(gpu=False))
    return _Comparison(spec, traits, executor, slots, unused, way_out).plan()


class _Comparison:
    def __init__(
        self, spec: RunSpec, traits: Traits, executor: Executor, slots: Slots, unused: Unused, way_out: str | None
    ) -> None:
        self._spec, self._traits, self._executor, self._slots = spec, traits, executor, slots
        self._unused, self._way_out, self._on_gpu = unused, way_out, unused.gpu is not None
        self._corners = Corners(spec, traits.values, traits.train, gpu=self._on_gpu)
        self._given = spec.resources.memory_bytes_per_trial

    def plan(self) -> MemoryPlan:
        is_grid = self._spec.search.exhaustive
        must = self._by_size(self._corners.grid()) if is_grid else [self._corners.smallest()]
        may = must if is_grid else [self._corners.largest()]
        free = self._unused.gpu.free if self._unused.gpu is not None else self._unused.host.free
        largest = may[0].footprint.peak if may else 0
        found = MemoryPlan(self._slots.concurrent, largest, free, process_bytes=self._given)
        if not must or self._spec.resources.allow_oversize:
            return found
        if not self._fits(must[:1]):
            raise RequestError(self._refusal([sized for sized in must if not self._fits([sized])]))
        # Of a space the smallest come at a time at least; of a grid the largest may.
        at_a_time = self._most(must)
        notes = [] if at_a_time == self._slots.concurrent else [self._fewer(must, at_a_time)]
        if not is_grid and may[0].footprint.peak > must[0].footprint.peak:
            notes += self._told_of_space(may[0], at_a_time)
        return replace(found, concurrent=at_a_time, notes=tuple(notes))

    @staticmethod
    def _by_size(points: list[Sized]) -> list[Sized]:
        return sorted(points, key=lambda sized: -sized.footprint.peak)

    def _most(self, points: list[Sized]) -> int:
        """The largest number of trials at a time that fits; one does."""
        wanted = self._slots.concurrent
        # There are never more at a time than there are trials, whatever number was asked for.
        trials = max(self._spec.search.trials, planned_trials(self._spec))
        # From two on, since callers know that one fits; bisection works because a larger crowd never needs less.
        counts = range(2, min(wanted, trials) + 1)
        fitting = bisect_left(counts, True, key=lambda count: not self._fits(self._crowd(points, count)))
        return wanted if fitting == len(counts) else 1 + fitting

    def _crowd(self, points: list[Sized], count: int) -> list[Sized]:
        """So many trials at a time: a grid's largest, or the same one again and again."""
        return points[:count] if self._spec.search.exhaustive else points[:1] * count

    def _fits(self, crowd: list[Sized]) -> bool:
        host, gpu = self._needed([sized.footprint for sized in crowd])
        return host <= self._unused.host.free and (self._unused.gpu is None or gpu <= self._unused.gpu.free)

    def _needed(self, crowd: Sequence[Footprint]) -> tuple[int, int]:
        """Bytes of the host and of a GPU."""
        gpus, processes = max(1, len(self._slots.gpus)), self._processes(len(crowd))
        shared = self._executor != "separate"
        host = self._example_bytes() + PROCESS_BYTES * processes + trial_bytes(crowd, gpu=self._on_gpu, shared=shared)
        if self._given is not None:  # each with its process; the driver of those on Ray has one of its own
            host = self._example_bytes() + PROCESS_BYTES * (processes > 1) + self._given * len(crowd)
        if not self._on_gpu:
            return host, 0
        on_one = crowd[: -(-len(crowd) // gpus)]  # the largest, which come first
        held = together(on_one, gpu=True) if shared else sum(together([one], gpu=True) for one in on_one)
        contexts = _CONTEXT_BYTES * (1 if shared else len(on_one))
        return host, held + contexts + self._examples_on_gpu()

    def _processes(self, trials: int) -> int:
        if self._executor == "inline":
            return 1
        return 1 + (trials if self._executor == "separate" else min(self._slots.passes, trials))

    def _example_bytes(self) -> int:
        """Of the host: what this process holds and, with Ray, what its object store holds of it beside."""
        return (self._traits.kept_bytes + self._traits.window_bytes + self._traits.val_bytes) * (
            1 if self._executor == "inline" else 2
        )

    def _examples_on_gpu(self) -> int:
        """What of the examples lies on each GPU; where they would take too much of it, they stay with the host."""
        total = self._unused.gpu.total if self._unused.gpu is not None else 0
        train = self._traits.kept_bytes
        share = min(1.0, self._slots.gpus_per_trial or 1.0)
        return train if train <= DEVICE_SHARE * share * total else 0

    def _short(self, crowd: list[Sized]) -> tuple[int, str]:
        """What trials that do not fit at a time take of what does not suffice, in bytes, and what is free of that."""
        host, gpu = self._needed([sized.footprint for sized in crowd])
        if self._unused.gpu is not None and gpu > self._unused.gpu.free:
            return gpu, f"{size(self._unused.gpu.free)} of {size(self._unused.gpu.total)} are free on the GPU"
        return host, f"{size(self._unused.host.free)} of {size(self._unused.host.total)} are free on this machine"

    def _refusal(self, too_large: list[Sized]) -> str:
        first = too_large[0]
        (in_all, free), own = self._short([first]), first.footprint.peak
        what, remedy = f"{self._which(too_large)}{needs(first.config, first.footprint)}", self._remedy(first)
        if self._given is not None and free.endswith("this machine"):
            own, what = self._given, f"resources.memory_gb_per_trial gives a trial {size(self._given)}"
            remedy = "give it less" if self._example_bytes() < own else remedy
        beside = (
            f", {size(in_all)} with {self._traits.examples_name} and libraries"
            # Two figures that read almost the same would only puzzle.
            if in_all > 1.02 * own
            else ""
        )
        return f"{what}{beside}, and {free}: {self._way_out or remedy}."

    def _remedy(self, sized: Sized) -> str:
        held = self._example_bytes()
        if self._on_gpu or held < sized.footprint.peak:
            return advice(sized.config, sized.footprint)
        return f"the {self._traits.examples_name} take {size(held)} of it; {self._traits.less}"

    def _which(self, too_large: list[Sized]) -> str:
        if not self._spec.search.exhaustive:
            return "No network of the space fits into memory. The smallest: " if self._corners_vary else ""
        if not any(sized.params for sized in too_large):
            return ""
        named = "; ".join(dict.fromkeys(params_text(sized.params) for sized in too_large[:_LISTED]))
        more = f" and {len(too_large) - _LISTED} more" if len(too_large) > _LISTED else ""
        return f"Of the grid, {named}{more} cannot fit into memory. The largest: "

    @property
    def _corners_vary(self) -> bool:
        return self._corners.largest().footprint != self._corners.smallest().footprint

    def _fewer(self, points: list[Sized], at_a_time: int) -> str:
        """Why fewer trials run at a time.

        Raises:
            RequestError: As many were asked for.
        """
        planned, largest = self._slots.concurrent, points[0]
        in_all, free = self._short(self._crowd(points, planned))
        told = f"{planned} trials at a time would need about {size(in_all)}, and {free}"
        if self._spec.resources.concurrent is not None:
            remedy = advice(largest.config, largest.footprint)
            if self._given is not None:
                remedy = "lower resources.memory_gb_per_trial"
            raise RequestError(f"{told}: ask for --concurrent {at_a_time}, or {remedy}.")
        return f"{told}: {at_a_time} at a time."

    def _told_of_space(self, largest: Sized, at_a_time: int) -> list[str]:
        """What may befall the largest networks of a space."""
        named = params_text(largest.params)
        if not self._fits([largest]):
            failing = sum(not self._fits([sized]) for sized in self._corners.draws)
            _, free = self._short([largest])
            told = (
                f"The space holds networks that cannot fit into memory, such as {named}. "
                f"{needs(largest.config, largest.footprint)}, and {free}. Such a trial fails before it allocates, and "
                f"the search goes on; of {DRAWS} random ones {failing} would fail: "
                f"{advice(largest.config, largest.footprint)}."
            )
            return [told]
        if self._fits([largest] * at_a_time):
            return []
        most, late = self._most([largest]), "fails" if self._executor == "separate" else "waits for the others"
        told = (
            f"Of the largest networks of the space ({named}, about {size(largest.footprint.peak)}) {most} fit at a "
            f"time, not {at_a_time}: one that finds no room {late}; --concurrent {most} has room for all."
        )
        return [told]
