"""Which processes train the trials of a search, chosen from the networks, the memory and the cores there are."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from spectral_search.errors import RequestError
from spectral_search.models.parameter_count import count_parameters
from spectral_search.spec.families import family_of
from spectral_search.spec.family import InputShape
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.task.data_plan import Traits
from spectral_search.train.capacity import member_bytes, pack_limit
from spectral_search.train.devices import cpu_count
from spectral_search.train.free_memory import host_memory

Executor = Literal["shared", "separate", "inline"]
_OF_A_TRIAL = ("gpus_per_trial", "cpus_per_trial")
_EXECUTORS = ("auto", "shared", "separate", "inline")
_MEMBERS_PER_CORE, _MOST_MEMBERS, _MOST_MEMBERS_GPU = 4, 16, 32
"""Live trials of one pass: with more, hardly less noise is drawn per trial, and proposals know less."""
_SMALL_OPERATIONS = 2e12
"""A search on cheap batches that computes at most so much takes about as long as Ray's start and end, or less. On two
cores with AMX one of 1.5e12 at most, of which it trained a third, took 20 s in this process and 39 s on Ray."""
_SMALL_ON_ONE_CORE = 6e12
"""The same of networks that do not stack: one after the other they take one core here, in two processes of Ray both. At
100 GFLOP/s and with a third of the epochs trained these are 20 s; Ray takes 15 s on both cores to start and to end."""
_MEMBER_SHARE = 0.25
"""Part of the free memory that members may fill; the examples and their batches need the rest."""
_SMALL = (
    "Trials share passes over the data, in this process: all of them together take about as long as Ray's start and "
    "end. (With Ray: --executor shared.)"
)


@dataclass(frozen=True)
class Choice:
    """An executor, how many trials one of its passes trains, and why.

    Attributes:
        executor: shared: all live trials of a device in one process; separate: a process each; inline: this process.
        members: Trials of one pass; on a cluster, of which nothing is known yet, the most that there may be.
        reason: For people, a sentence.
    """

    executor: Executor
    members: int
    reason: str


def check_executor(asked: str, address: str | None) -> None:
    """Refuse what is no executor, or cannot be one on a cluster.

    Raises:
        RequestError: It says what is allowed.
    """
    if asked not in _EXECUTORS:
        raise RequestError(f"--executor must be {', '.join(_EXECUTORS[:-1])} or {_EXECUTORS[-1]}, found {asked!r}.")
    if asked == "inline" and address is not None:
        raise RequestError("The inline executor runs in this process and joins no cluster: leave --address out.")


def choose_executor(
    asked: str,
    spec: RunSpec,
    configs: Iterable[TrialConfig],
    traits: Traits,
    *,
    trials: int,
    gpus: int,
) -> Choice:
    """Settle `auto`.

    Args:
        asked: One of _EXECUTORS.
        spec: The search.
        configs: What its trials may be, or a sample of it.
        traits: What its data are.
        trials: Trials of the search.
        gpus: GPUs of this machine that it may use.
    """
    sample = [spec.with_params({}), *configs]
    members = _members(sample, traits.values, trials, gpus, spec.resources.address)
    stacks = all(_stacks(config) for config in sample)
    if asked != "auto":
        chosen: Executor = "shared" if asked == "shared" else "separate" if asked == "separate" else "inline"
        # In this process too networks that do not stack train on the cores of a process each.
        counts_cores = chosen == "inline" and not stacks and not gpus
        heeded = _OF_A_TRIAL if chosen == "separate" else ("cpus_per_trial",) * counts_cores
        return Choice(chosen, members, f"Executor {asked}, as asked for{_not_heeded(spec, heeded)}.")
    executor, reason = _settled(spec, traits, stacks, trials, gpus)
    free = executor == "shared" or (executor == "separate" and _leaves_open(spec))
    if free and not gpus and _is_small(spec, traits, sample, trials):
        return Choice("inline", members, _SMALL)
    return Choice(executor, members, reason)


def _settled(spec: RunSpec, traits: Traits, stacks: bool, trials: int, gpus: int) -> tuple[Executor, str]:
    resources = spec.resources
    if trials == 1 and resources.address is None:
        return "inline", "One trial has none to share a pass with: it runs in this process, without Ray."
    if resources.gpus_per_trial != "auto" or resources.cpus_per_trial != "auto":
        return "separate", "A process a trial, since the spec says what each trial gets."
    if resources.concurrent == 1:
        return "separate", "One trial at a time, so there is no pass to share."
    if stacks and traits.all_cheap:
        return "shared", "Trials share passes over the data: its components are drawn once for all of them."
    if stacks:
        return "shared", (
            "Trials share passes over the data: reading and noising a batch costs as much as a step of such a network, "
            "and the steps of many are one product."
        )
    if gpus or resources.address is not None:
        return "shared", "Trials share passes over the data: one copy of it on a GPU, and one reading, feed them all."
    if traits.streams:
        return "shared", "Trials share passes over the data: it is read from disk once for all of them."
    return "separate", (
        "A process a trial: steps of such networks cost far more than their batch, and each core works on its own."
    )


def _leaves_open(spec: RunSpec) -> bool:
    """Whether the spec says nothing of what a trial gets, nor that there is one at a time."""
    resources = spec.resources
    return resources.gpus_per_trial == resources.cpus_per_trial == "auto" and resources.concurrent != 1


def _not_heeded(spec: RunSpec, heeded: Collection[str]) -> str:
    """That what the spec says of one trial has no meaning for passes, where these were asked for."""
    keys = [key for key in _OF_A_TRIAL if getattr(spec.resources, key) != "auto" and key not in heeded]
    if not keys:
        return ""
    told = " and ".join(f"resources.{key}" for key in keys)
    return f": {told}, said of a trial with a process of its own, count{'s' * (len(keys) == 1)} for none of them"


def _stacks(config: TrialConfig) -> bool:
    return family_of(config.model.kind).stack is not None


def _is_small(spec: RunSpec, traits: Traits, sample: list[TrialConfig], trials: int) -> bool:
    """Whether all trials are on cheap batches, and together take about as long as Ray's start and end, or less."""
    if traits.train is None or spec.resources.address is not None or traits.streams:
        return False
    if not all(traits.cheap(config) for config in sample):
        return False
    most = _SMALL_OPERATIONS if all(_stacks(config) for config in sample) else _SMALL_ON_ONE_CORE
    largest = max(_operations(config, traits.values) for config in sample)
    # A product there and two back, of a multiplication and an addition each.
    return 6.0 * largest * traits.train * spec.fit.epochs * trials <= most


def _operations(config: TrialConfig, values: int) -> int:
    """Multiply-accumulates of one example; those of a network that stacks, an MLP, are its parameters."""
    sizes = config.data.input.sizes(values)
    if _stacks(config):
        return count_parameters(config.model, **sizes)
    return family_of(config.model.kind).forward_operations(config.model, InputShape(**sizes))


def most_members(gpu: bool, cores: int) -> int:
    """Trials of one pass with which it is full, whatever memory there is.

    Args:
        gpu: Whether it has one.
        cores: That it has; one at least.
    """
    return _MOST_MEMBERS_GPU if gpu else min(_MOST_MEMBERS, _MEMBERS_PER_CORE * max(1, cores))


def _members(sample: list[TrialConfig], pixels: int, trials: int, gpus: int, address: str | None) -> int:
    if address is not None:  # its nodes are known when it is joined: at most as many as on a GPU
        return max(1, min(_MOST_MEMBERS_GPU, trials))
    most = most_members(gpus > 0, cpu_count())
    free = host_memory().free
    # What cannot train at all must not keep the others from training together.
    possible = [config for config in sample if member_bytes(config, pixels) <= free] or sample
    fitting = pack_limit(possible, pixels, _MEMBER_SHARE * free)
    return max(1, min(most, fitting, trials))
