"""What the trials of a search get of a cluster: its nodes' own CPUs, GPUs and memory count, not this machine's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from spectral_search.errors import RequestError
from spectral_search.record.wording import size
from spectral_search.run.executor_choice import most_members
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots, gpu_slots

Key = TypeVar("Key")
Node = Mapping[str, float]
"""What a node has, or has left: CPU, GPU, memory in bytes, and whatever else Ray counts."""
_MOST_SLOTS = 1 << 20
_ROUNDING = 1e-9
KINDS = ("CPU", "GPU", "memory")
"""What of a node is shared out."""
_LISTED = 3
"""Kinds of nodes that are told of."""


class NodeMemory(Protocol):
    """Bytes of a node's memory for a process that trains so many trials at a time, see `TrialMemory`."""

    def least(self, members: int = 1, *, gpu: bool) -> int:
        """Where the smallest networks train; without so much nothing does."""

    def most(self, members: int = 1, *, gpu: bool) -> int:
        """Where the largest do."""

    def advice(self, *, gpu: bool) -> str:
        """What to change so that a trial takes less."""


class NoNodeError(RequestError):
    """No node has, or has left, enough for one trial.

    Attributes:
        asked: What a trial asks for, for people.
        had: What nodes have.
        remedy: What to do, a clause.
    """

    def __init__(self, asked: str, had: str, remedy: str) -> None:
        super().__init__(f"No node of the cluster has the {asked} of one trial, but {had}: {remedy}.")
        self.asked, self.had, self.remedy = asked, had, remedy


def share_of(
    resources: ResourcesSpec,
    slots: Slots,
    nodes: Sequence[Node],
    left: Sequence[Node] | None = None,
    trials: int | None = None,
    memory: NodeMemory | None = None,
) -> Slots:
    """Slots on a cluster.

    Args:
        resources: The spec's section.
        slots: As planned, without numbers of the cluster.
        nodes: What each node has.
        left: What others leave of each; all of it when absent.
        trials: Of the search, which takes no more than these need.
        memory: What its trials take of a node's memory; not looked at when absent.

    Raises:
        NoNodeError: No node has, or has left, enough for one trial.
    """
    any_gpu = resources.gpus != [] and any(node.get("GPU", 0) for node in nodes)
    one = _one_trial(resources, slots, any_gpu)
    if memory is not None:
        one = replace(one, memory_bytes=_memory_of_one(one, nodes, memory))
    found, most = nodes if left is None else left, min(resources.concurrent or _MOST_SLOTS, trials or _MOST_SLOTS)
    if not any(_slots_on(node, one) for node in found):
        raise _no_node(one, found, resources, memory)
    if slots.passes:
        return _passes(one, found, most, memory)
    return replace(one, concurrent=min(sum(_slots_on(node, one) for node in found), most))


def claim_of(slots: Slots, left: Mapping[Key, Node]) -> dict[Key, dict[str, float]]:
    """What so many trials, or passes, take of which node; nodes are filled one after the other.

    Args:
        slots: From `share_of`.
        left: Node -> what others leave of it.
    """
    wanted, claim = slots.passes or slots.concurrent, dict[Key, dict[str, float]]()
    for name, node in left.items():
        here = min(wanted, _taken_on(node, slots))
        if here:
            claim[name] = {
                "CPU": here * slots.cpus_per_trial,
                "GPU": here * slots.gpus_per_trial,
                "memory": here * slots.memory_bytes,
            }
            wanted -= here
    return claim


def still_held(slots: Slots, nodes: Iterable[Node]) -> int:
    """Trials at a time that nodes hold of those that a search has begun with; 0 where none holds one.

    What a trial or a pass asks for was settled then: another node than those may be too small for it.

    Args:
        slots: From `share_of`, as the search began.
        nodes: What each node has that lives now.
    """
    there = sum(_taken_on(node, slots) for node in nodes)
    return min(slots.concurrent, there * slots.members if slots.passes else there)


def told_of_share(slots: Slots, nodes: Sequence[Node], left: Sequence[Node] | None = None) -> str:
    """A sentence that says what a search gets of a cluster, and on which nodes it may lie.

    Args:
        slots: From `share_of`.
        nodes: What each node has.
        left: What others leave of each; all of it when absent.
    """
    found = dict(enumerate(nodes if left is None else left))
    claim = claim_of(slots, found)
    # Ray lists nodes in any order.
    each = sorted((round(claim[place]["CPU"] / slots.cpus_per_trial) for place in claim), reverse=True)
    what = "shared passes" if slots.passes else "trials at a time"
    members = f" of {slots.concurrent} trials in all" if slots.passes else ""
    had, free = total(nodes), total(found.values())
    others = ", a part of which others use" if any(free[kind] < had[kind] - _ROUNDING for kind in KINDS) else ""
    small = sum(not _slots_on(node, slots) for node in nodes if _slots_on(node, replace(slots, memory_bytes=0)))
    passed_over = f" {small} of the nodes {'has' if small == 1 else 'have'} too little memory for one." if small else ""
    return (
        f"The cluster has {len(nodes)} node{'s' if len(nodes) != 1 else ''} with {_counted(had)}{others}: "
        f"{sum(each)} {what}{members}, each with {told_of_slot(slots)}, {' + '.join(map(str, each))} on a node."
        f"{passed_over}"
    )


def _counted(had: Node) -> str:
    """CPUs, GPUs and memory for people: 8 CPUs, 2 GPUs and 32 GB of memory."""
    named = {kind: had.get(kind, 0.0) for kind in ("CPU", "GPU")}
    parts = [
        f"{count:g} {kind}{'' if 0 < count <= 1 else 's'}" for kind, count in named.items() if count or kind == "CPU"
    ]
    if had.get("memory"):
        parts.append(f"{size(had['memory'])} of memory")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def told_of_wait(slots: Slots, nodes: Sequence[Node], unused: Node) -> str | None:
    """A sentence that says what is free where a search must wait for what others use; None where it need not.

    Args:
        slots: From `share_of`.
        nodes: What each node has.
        unused: What nobody uses of all together.
    """
    wanted = total(claim_of(slots, dict(enumerate(nodes))).values())
    if all(wanted[kind] <= unused.get(kind, 0.0) + _ROUNDING for kind in KINDS):
        return None
    return f"Others use a part of it: {_counted(unused)} are free now, and trials that find no room wait for them."


def total(nodes: Iterable[Node]) -> Node:
    """What nodes have together."""
    every = list(nodes)
    return {kind: sum(node.get(kind, 0.0) for node in every) for kind in KINDS}


def told_of_slot(slots: Slots) -> str:
    """What a trial, or a pass, asks for, for people."""
    return _counted({"CPU": slots.cpus_per_trial, "GPU": slots.gpus_per_trial, "memory": slots.memory_bytes})


def _one_trial(resources: ResourcesSpec, slots: Slots, any_gpu: bool) -> Slots:
    """A slot of one trial: its own, or the least of a pass, which is as large as its node and not as the spec says."""
    auto = slots.passes > 0
    cpus = 1.0 if auto or resources.cpus_per_trial == "auto" else resources.cpus_per_trial
    gpus = float(any_gpu) if auto or resources.gpus_per_trial == "auto" else resources.gpus_per_trial
    return replace(slots, cpus_per_trial=cpus, gpus_per_trial=gpus)


def _memory_of_one(one: Slots, nodes: Sequence[Node], memory: NodeMemory) -> int:
    """What the largest network needs, or all that the largest node has where only smaller ones fit there."""
    gpu = one.gpus_per_trial > 0
    rooms = [int(node.get("memory", 0.0)) for node in nodes if _slots_on(node, one)]
    return min(memory.most(gpu=gpu), max([memory.least(gpu=gpu), *rooms]))


def _slots_on(node: Node, slots: Slots) -> int:
    """Trials that fit on one node; a trial lies on one, so what is left over on two does not add up to a slot."""
    cpus, gpus, memory = slots.cpus_per_trial, slots.gpus_per_trial, slots.memory_bytes
    return min(
        int(node.get("CPU", 0.0) / cpus + _ROUNDING),
        gpu_slots(int(node.get("GPU", 0) + _ROUNDING), gpus) if gpus else _MOST_SLOTS,
        int(node.get("memory", 0.0) / memory + _ROUNDING) if memory else _MOST_SLOTS,
    )


def _passes(one: Slots, nodes: Sequence[Node], most: int, memory: NodeMemory | None) -> Slots:
    """Shared passes of a whole cluster: one a GPU, or one a node where no GPU is to be used.

    Args:
        one: A pass of one trial.
        nodes: What there is of each.
        most: Trials at a time, at most.
        memory: What passes take; not looked at when absent.
    """
    hosts = [(node, _passes_on(node, one)) for node in nodes if _slots_on(node, one)]
    passes = sum(there for _, there in hosts)
    cpus = min(node.get("CPU", 0.0) / there for node, there in hosts)
    members, held = min(one.members, most_members(one.gpus_per_trial > 0, int(cpus + _ROUNDING))), 0
    # As many as were asked for are asked for of all passes together.
    members = min(most, -(-one.concurrent // passes) or members)
    if memory is not None:
        gpu, share = one.gpus_per_trial > 0, min(int(node.get("memory", 0.0) / there) for node, there in hosts)
        held = min(share, memory.most(members, gpu=gpu))
        # Of the smallest networks: one that is larger waits in its pass where it finds no room beside the others.
        members = max(count for count in range(1, members + 1) if count == 1 or memory.least(count, gpu=gpu) <= held)
        held = min(held, memory.most(members, gpu=gpu))
    concurrent = min(most, passes * members)
    return replace(
        one,
        cpus_per_trial=cpus,
        memory_bytes=held,
        concurrent=concurrent,
        passes=min(passes, concurrent),
        members=members,
    )


def _taken_on(node: Node, slots: Slots) -> int:
    """Trials, or passes, that lie on one node at most: of passes without a GPU one, whatever else there is room for."""
    there = _slots_on(node, slots)
    return min(there, _passes_on(node, slots)) if slots.passes else there


def _passes_on(node: Node, one: Slots) -> int:
    """Of a node that holds one: a GPU each, as far as its memory goes."""
    there = int(node.get("GPU", 0.0)) if one.gpus_per_trial else 1
    return min(there, int(node.get("memory", 0.0) / one.memory_bytes + _ROUNDING)) if one.memory_bytes else there


def _no_node(one: Slots, nodes: Sequence[Node], resources: ResourcesSpec, memory: NodeMemory | None) -> NoNodeError:
    """What to say where no node holds one trial."""
    largest = sorted(nodes, key=lambda node: [-node.get(kind, 0.0) for kind in reversed(KINDS)])
    kinds = list(dict.fromkeys(_counted(node) for node in largest))
    had = ", or ".join(kinds[:_LISTED]) + (f", or less ({len(kinds) - _LISTED} kinds more)" if kinds[_LISTED:] else "")
    if memory is not None and any(_slots_on(node, replace(one, memory_bytes=0)) for node in nodes):
        remedy = f"add a node with more memory, or {memory.advice(gpu=one.gpus_per_trial > 0)}"
    elif one.gpus_per_trial and resources.gpus_per_trial == "auto":
        remedy = "lower resources.cpus_per_trial, keep to the CPUs by --gpus none, or add a node"
    else:
        remedy = "lower resources.cpus_per_trial or resources.gpus_per_trial, or add a node"
    return NoNodeError(told_of_slot(one), had, remedy)
