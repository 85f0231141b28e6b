"""What a search gets of nodes that are alike, that differ, and that others use too."""

import pytest

from spectral_search.errors import RequestError
from spectral_search.run.cluster_slots import claim_of, share_of, told_of_share
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


def test_a_search_takes_no_more_than_its_trials_need_and_others_leave() -> None:
    assert share_of(ResourcesSpec(), TRIALS, NODES, trials=2).concurrent == 2
    left = [{"CPU": 8.0, "GPU": 0.0}, {"CPU": 1.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 0.0}]
    assert share_of(ResourcesSpec(), TRIALS, NODES, left).concurrent == 1
    none = [{**node, "GPU": 0.0} for node in left]
    with pytest.raises(RequestError, match="No node of the cluster has the 1 CPUs and 1 GPUs"):
        share_of(ResourcesSpec(), TRIALS, NODES, none)  # it does not go to the cores because the GPUs are in use


def test_a_claim_is_what_the_trials_take_of_each_node() -> None:
    nodes = dict(zip("abc", NODES, strict=True))
    slots = share_of(ResourcesSpec(gpus_per_trial=0.5), TRIALS, NODES)
    assert (slots.concurrent, claim_of(slots, nodes)) == (
        10,
        {"a": {"CPU": 8.0, "GPU": 4.0}, "b": {"CPU": 2.0, "GPU": 1.0}},
    )
    assert claim_of(share_of(ResourcesSpec(gpus=[], concurrent=1), TRIALS, NODES), nodes) == {
        "a": {"CPU": 1.0, "GPU": 0}
    }


def test_what_is_said_of_a_share() -> None:
    found = share_of(ResourcesSpec(gpus_per_trial=0.5), TRIALS, NODES)
    told = told_of_share(found, NODES)
    assert told == (
        "The cluster has 3 nodes with 14 CPUs and 5 GPUs: 10 trials at a time, each with 1 CPU and 0.5 GPU, "
        "8 + 2 on a node."
    )
    left = [{"CPU": 1.0}, {"CPU": 0.0}, {"CPU": 4.0}]
    found = share_of(ResourcesSpec(gpus=[]), PASSES, NODES, left)
    assert "a part of which others use: 2 shared passes of 16 trials in all, each with 1 CPU, 1 + 1" in told_of_share(
        found, NODES, left
    )
