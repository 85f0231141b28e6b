"""What a search gets of nodes that are alike, that differ, and that others use too."""

from dataclasses import dataclass, replace

import pytest

from spectral_search.errors import RequestError
from spectral_search.run.cluster_slots import (
    NodeMemory,
    NoNodeError,
    claim_of,
    share_of,
    still_held,
    told_of_share,
    told_of_wait,
)
from spectral_search.run.trial_memory import GivenMemory
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots

NODES = [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 2.0, "GPU": 1.0}, {"CPU": 4.0}]
TRIALS, PASSES = Slots(0.0, 0.0, 0, (), "head:1"), Slots(0.0, 0.0, 0, (), "head:1", passes=1, members=8)


@pytest.mark.parametrize(
    ("asked", "concurrent"),
    [
        ({}, 5),  # a GPU each
        ({"gpus_per_trial": 0.25}, 10),  # 16 and 4 by their GPUs, but a core each: 8 and 2
        ({"gpus_per_trial": 0.25, "cpus_per_trial": 0.5}, 20),
        ({"gpus_per_trial": 2.0}, 2),  # the single GPU of the second node is no half of one
        ({"gpus_per_trial": 1.0, "cpus_per_trial": 4.0}, 2),
        ({"gpus": []}, 14),
        ({"concurrent": 3}, 3),
    ],
)
def test_trials_at_a_time(asked: dict[str, object], concurrent: int) -> None:
    assert share_of(ResourcesSpec(**asked), TRIALS, NODES).concurrent == concurrent


def test_a_pass_a_gpu_or_a_node() -> None:
    found = share_of(ResourcesSpec(), PASSES, NODES)
    assert (found.passes, found.gpus_per_trial, found.cpus_per_trial, found.concurrent) == (5, 1.0, 2.0, 40)
    found = share_of(ResourcesSpec(gpus=[]), PASSES, NODES)
    assert (found.passes, found.gpus_per_trial, found.cpus_per_trial) == (3, 0.0, 2.0)
    assert share_of(ResourcesSpec(), PASSES, NODES, trials=3).passes == 3
    # Its own cores say how many trials a pass takes where it has no GPU, not those of who joins.
    many = replace(PASSES, members=32)
    assert share_of(ResourcesSpec(), many, NODES).members == 32
    assert share_of(ResourcesSpec(gpus=[]), many, NODES).members == 8
    assert share_of(ResourcesSpec(gpus=[]), many, [{"CPU": 64.0}]).members == 16


def test_a_search_takes_no_more_than_its_trials_need_and_others_leave() -> None:
    assert share_of(ResourcesSpec(), TRIALS, NODES, trials=2).concurrent == 2
    left = [{"CPU": 8.0, "GPU": 0.0}, {"CPU": 1.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 0.0}]
    assert share_of(ResourcesSpec(), TRIALS, NODES, left).concurrent == 1
    none = [{**node, "GPU": 0.0} for node in left]
    with pytest.raises(
        RequestError, match="No node of the cluster has the 1 CPU and 1 GPU of one trial, but 8 CPUs, or 4 CPUs"
    ):
        share_of(ResourcesSpec(), TRIALS, NODES, none)  # it does not go to the cores because the GPUs are in use


def test_a_claim_is_what_the_trials_take_of_each_node() -> None:
    nodes = dict(zip("abc", NODES, strict=True))
    slots = share_of(ResourcesSpec(gpus_per_trial=0.5), TRIALS, NODES)
    assert (slots.concurrent, claim_of(slots, nodes)) == (
        10,
        {"a": {"CPU": 8.0, "GPU": 4.0, "memory": 0}, "b": {"CPU": 2.0, "GPU": 1.0, "memory": 0}},
    )
    assert claim_of(share_of(ResourcesSpec(gpus=[], concurrent=1), TRIALS, NODES), nodes) == {
        "a": {"CPU": 1.0, "GPU": 0, "memory": 0}
    }


def test_a_claim_of_passes_without_a_gpu_is_one_a_node() -> None:
    nodes = {"a": {"CPU": 8.0}, "b": {"CPU": 2.0}}
    slots = share_of(ResourcesSpec(), PASSES, list(nodes.values()))
    each = {"CPU": 2.0, "GPU": 0.0, "memory": 0}
    assert (slots.passes, claim_of(slots, nodes)) == (2, {"a": each, "b": each})
    assert "2 shared passes of 16 trials in all, each with 2 CPUs, 1 + 1 on a node." in told_of_share(
        slots, list(nodes.values())
    )


def test_what_is_said_of_a_share() -> None:
    found = share_of(ResourcesSpec(gpus_per_trial=0.5), TRIALS, NODES)
    told = told_of_share(found, NODES)
    assert told == (
        "The cluster has 3 nodes with 14 CPUs and 5 GPUs: 10 trials at a time, each with 1 CPU and 0.5 GPU, "
        "8 + 2 on a node."
    )
    assert told_of_share(found, NODES[::-1]) == told
    # What is left of a node that nobody uses is all of it, less what Ray counts beside.
    named = [{**node, "node:10.0.0.5": 1.0} for node in NODES]
    assert told_of_share(found, named, NODES) == told
    left = [{"CPU": 1.0}, {"CPU": 0.0}, {"CPU": 4.0}]
    found = share_of(ResourcesSpec(gpus=[]), PASSES, NODES, left)
    assert "a part of which others use: 2 shared passes of 8 trials in all, each with 1 CPU, 1 + 1" in told_of_share(
        found, NODES, left
    )


GB = 10**9
UNEQUAL = [{"CPU": 8.0, "GPU": 4.0, "memory": 40.0 * GB}, {"CPU": 8.0, "GPU": 4.0, "memory": 6.0 * GB}]


@dataclass(frozen=True)
class Space:
    """Networks that take between `small` and `large`, beside 1 GB of the process."""

    small: int
    large: int

    def least(self, members: int = 1, *, gpu: bool) -> int:
        return GB + members * self.small

    def most(self, members: int = 1, *, gpu: bool) -> int:
        return GB + members * self.large

    def advice(self, *, gpu: bool) -> str:
        return "make it smaller"


@pytest.mark.parametrize(
    ("memory", "concurrent", "each"),
    [
        (GivenMemory(0), 8, 0),
        (GivenMemory(GB), 8, GB),  # GPUs decide
        (GivenMemory(3 * GB), 6, 3 * GB),  # 4 and 2
        (GivenMemory(7 * GB), 4, 7 * GB),  # the second node holds none
        (GivenMemory(15 * GB), 2, 15 * GB),
        (Space(0, 9 * GB), 4, 10 * GB),
        (Space(0, 90 * GB), 1, 40 * GB),  # the largest networks fit nowhere, others do: one has a whole node
    ],
)
def test_no_more_trials_than_memory_holds(memory: NodeMemory, concurrent: int, each: int) -> None:
    found = share_of(ResourcesSpec(), TRIALS, UNEQUAL, memory=memory)
    assert (found.concurrent, found.memory_bytes) == (concurrent, each)


def test_a_pass_takes_its_part_of_its_node_at_most() -> None:
    found = share_of(ResourcesSpec(), PASSES, UNEQUAL, memory=Space(GB // 100, GB // 50))
    assert (found.passes, found.members, found.memory_bytes) == (8, 8, GB + 8 * GB // 50)
    # By the part of a node that has less; its passes take fewer members where even small ones have no room.
    found = share_of(ResourcesSpec(), PASSES, UNEQUAL, memory=Space(GB // 10, GB // 5))
    assert (found.passes, found.members, found.memory_bytes, found.concurrent) == (8, 5, 1.5 * GB, 40)
    # On the smaller node two passes instead of four, for four are too many for the largest network.
    found = share_of(ResourcesSpec(), PASSES, UNEQUAL, memory=Space(GB // 10, 2 * GB))
    assert (found.passes, found.memory_bytes, found.gpus_per_trial) == (6, 3 * GB, 1.0)
    found = share_of(ResourcesSpec(), PASSES, UNEQUAL, memory=Space(GB // 10, 6 * GB))
    assert (found.passes, found.cpus_per_trial) == (4, 2.0)
    found = share_of(ResourcesSpec(concurrent=12), PASSES, UNEQUAL, memory=GivenMemory(GB))
    assert (found.passes, found.members, found.memory_bytes, found.concurrent) == (8, 1, GB, 8)


def test_a_search_that_is_too_large_for_every_node_is_refused_with_numbers() -> None:
    with pytest.raises(NoNodeError) as refused:
        share_of(ResourcesSpec(), TRIALS, UNEQUAL, memory=Space(50 * GB, 60 * GB))
    assert str(refused.value) == (
        "No node of the cluster has the 1 CPU, 1 GPU and 51 GB of memory of one trial, but 8 CPUs, 4 GPUs and 40 GB of "
        "memory, or 8 CPUs, 4 GPUs and 6 GB of memory: add a node with more memory, or make it smaller."
    )
    with pytest.raises(NoNodeError, match="or lower resources.memory_gb_per_trial"):
        share_of(ResourcesSpec(), PASSES, UNEQUAL, memory=GivenMemory(41 * GB))
    many = [{"CPU": 1.0, "memory": count * 1.0 * GB} for count in (1, 2, 2, 3, 4, 5)]
    with pytest.raises(NoNodeError, match=r"but 1 CPU and 5 GB of memory, .*, or less \(2 kinds more\): add"):
        share_of(ResourcesSpec(), TRIALS, many, memory=GivenMemory(6 * GB))


def test_memory_that_others_use_is_waited_for() -> None:
    left = [{**UNEQUAL[0], "memory": 5.0 * GB}, {**UNEQUAL[1], "memory": 5.0 * GB}]
    with pytest.raises(NoNodeError, match="6 GB of memory of one trial, but 8 CPUs, 4 GPUs and 5 GB of memory: add"):
        share_of(ResourcesSpec(), TRIALS, UNEQUAL, left, memory=GivenMemory(6 * GB))
    found = share_of(ResourcesSpec(), TRIALS, UNEQUAL, left, memory=GivenMemory(2 * GB))
    assert claim_of(found, dict(zip("ab", left, strict=True))) == {
        "a": {"CPU": 2.0, "GPU": 2.0, "memory": 4 * GB},
        "b": {"CPU": 2.0, "GPU": 2.0, "memory": 4 * GB},
    }


def test_what_is_said_of_memory() -> None:
    found = share_of(ResourcesSpec(), TRIALS, UNEQUAL, memory=GivenMemory(7 * GB))
    assert told_of_share(found, UNEQUAL) == (
        "The cluster has 2 nodes with 16 CPUs, 8 GPUs and 46 GB of memory: 4 trials at a time, each with 1 CPU, 1 GPU "
        "and 7 GB of memory, 4 on a node. 1 of the nodes has too little memory for one."
    )


def test_a_search_that_must_wait_for_others_says_so() -> None:
    found = share_of(ResourcesSpec(), TRIALS, UNEQUAL, memory=GivenMemory(7 * GB))
    assert told_of_wait(found, UNEQUAL, {"CPU": 4.0, "GPU": 4.0, "memory": 28.0 * GB}) is None
    assert told_of_wait(found, UNEQUAL, {"CPU": 4.0, "GPU": 4.0, "memory": 27.0 * GB}) == (
        "Others use a part of it: 4 CPUs, 4 GPUs and 27 GB of memory are free now, and trials that find no room wait "
        "for them."
    )


def test_what_a_trial_asks_for_stays_what_it_was_when_nodes_are_gone() -> None:
    large, small = UNEQUAL
    found = share_of(ResourcesSpec(), TRIALS, UNEQUAL, memory=Space(0, 9 * GB))
    assert [still_held(found, nodes) for nodes in (UNEQUAL, [large], [small], [])] == [4, 4, 0, 0]
    found = share_of(ResourcesSpec(), PASSES, NODES)
    assert [still_held(found, nodes) for nodes in (NODES, NODES[1:], NODES[2:])] == [40, 8, 0]
    found = share_of(ResourcesSpec(gpus=[]), PASSES, NODES)
    assert [still_held(found, nodes) for nodes in (NODES, NODES[1:], NODES[2:])] == [24, 16, 8]
