"""What the trials of a search get of a cluster: its nodes' own CPUs and GPUs count, not this machine's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from spectral_search.errors import RequestError
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots, gpu_slots

Key = TypeVar("Key")
Node = Mapping[str, float]
"""What a node has, or has left: CPU, GPU, and whatever else Ray counts."""
_MOST_SLOTS = 1 << 20
_ROUNDING = 1e-9


def share_of(
    resources: ResourcesSpec,
    slots: Slots,
    nodes: Sequence[Node],
    left: Sequence[Node] | None = None,
    trials: int | None = None,
) -> Slots:
    """Slots on a cluster.

    Args:
        resources: The spec's section.
        slots: As planned, without numbers of the cluster.
        nodes: What each node has.
        left: What others leave of each; all of it when absent.
        trials: Of the search, which takes no more than these need.

    Raises:
        RequestError: No node has, or has left, enough for one trial.
    """
    any_gpu = resources.gpus != [] and any(node.get("GPU", 0) for node in nodes)
    found, most = nodes if left is None else left, min(resources.concurrent or _MOST_SLOTS, trials or _MOST_SLOTS)
    return (_passes if slots.passes else _trials)(resources, slots, found, any_gpu, most)


def claim_of(slots: Slots, left: Mapping[Key, Node]) -> dict[Key, dict[str, float]]:
    """What so many trials, or passes, take of which node; nodes are filled one after the other.

    Args:
        slots: From `share_of`.
        left: Node -> what others leave of it.
    """
    wanted, claim = slots.passes or slots.concurrent, dict[Key, dict[str, float]]()
    for name, node in left.items():
        here = min(wanted, _slots_on(node, slots.cpus_per_trial, slots.gpus_per_trial))
        if here:
            claim[name] = {"CPU": here * slots.cpus_per_trial, "GPU": here * slots.gpus_per_trial}
            wanted -= here
    return claim


def told_of_share(slots: Slots, nodes: Sequence[Node], left: Sequence[Node] | None = None) -> str:
    """A sentence that says what a search gets of a cluster, and on which nodes it may lie.

    Args:
        slots: From `share_of`.
        nodes: What each node has.
        left: What others leave of each; all of it when absent.
    """
    cpus, gpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    found = dict(enumerate(nodes if left is None else left))
    claim = claim_of(slots, found)
    each = [round(claim[place]["CPU"] / slots.cpus_per_trial) for place in claim]
    what = "shared passes" if slots.passes else "trials at a time"
    members = f" of {slots.concurrent} trials in all" if slots.passes else ""
    gpu = f" and {slots.gpus_per_trial:g} GPU" if slots.gpus_per_trial else ""
    had = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
    others = "" if left is None or left == nodes else ", a part of which others use"
    return (
        f"The cluster has {len(nodes)} node{'s' if len(nodes) != 1 else ''} with {had}{others}: {sum(each)} {what}"
        f"{members}, each with {slots.cpus_per_trial:g} CPU{gpu}, {' + '.join(map(str, each))} on a node."
    )


def _slots_on(node: Node, cpus: float, gpus: float) -> int:
    """Trials that fit on one node; a trial lies on one, so what is left over on two does not add up to a slot."""
    by_cpu = int(node.get("CPU", 0.0) / cpus + _ROUNDING)
    return min(by_cpu, gpu_slots(int(node.get("GPU", 0) + _ROUNDING), gpus) if gpus else _MOST_SLOTS)


def _passes(resources: ResourcesSpec, slots: Slots, nodes: Sequence[Node], any_gpu: bool, most: int) -> Slots:
    """Shared passes of a whole cluster: one a GPU, or one a node where no GPU is to be used."""
    hosts = [(int(node.get("GPU", 0)) if any_gpu else 1, node.get("CPU", 0.0)) for node in nodes]
    hosts = [(there, cpus) for there, cpus in hosts if there and cpus >= 1]
    passes = sum(there for there, _ in hosts)
    if not passes:
        raise RequestError("No node of the cluster has a CPU to train on: add a node.")
    concurrent = min(most, resources.concurrent or passes * slots.members)
    return replace(
        slots,
        cpus_per_trial=min(cpus / there for there, cpus in hosts),
        gpus_per_trial=float(any_gpu),
        concurrent=concurrent,
        passes=min(passes, concurrent),
    )


def _trials(resources: ResourcesSpec, slots: Slots, nodes: Sequence[Node], any_gpu: bool, most: int) -> Slots:
    per_trial = resources.gpus_per_trial
    gpus_per_trial = float(any_gpu) if per_trial == "auto" else per_trial
    cpus_per_trial = 1.0 if resources.cpus_per_trial == "auto" else resources.cpus_per_trial
    slots_there = sum(_slots_on(node, cpus_per_trial, gpus_per_trial) for node in nodes)
    if not slots_there:
        raise RequestError(
            f"No node of the cluster has the {cpus_per_trial:g} CPUs and {gpus_per_trial:g} GPUs of one trial: lower "
            "resources.cpus_per_trial or resources.gpus_per_trial, or add a node."
        )
    concurrent = min(slots_there, most)
    return replace(slots, cpus_per_trial=cpus_per_trial, gpus_per_trial=gpus_per_trial, concurrent=concurrent)
