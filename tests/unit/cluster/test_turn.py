"""Who begins when: jobs of one cluster, as their own processes see each other's records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spectral_search.cluster.job_record import JobRecord
from spectral_search.cluster.standing import standings
from spectral_search.cluster.turn import Room, unfinished, wait_until
from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths
from spectral_search.run.cluster_slots import share_of
from spectral_search.run.trial_memory import GivenMemory
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots

NODES = {"a": {"CPU": 2.0}, "b": {"CPU": 2.0}}
MakeJob = Callable[..., tuple[JobRecord, RunPaths]]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """Jobs of this process, each submitted after the one before."""
    count = iter(range(100))

    def make(name: str, **changes: Any) -> tuple[JobRecord, RunPaths]:
        at = f"2026-01-01T00:00:{next(count):02d}.000000+00:00"
        known = {"name": name, "stage": name, "version": "1", "results": "r", "submitted_at": at, "cluster": "c"}
        job, paths = JobRecord(**{**known, **changes}), RunPaths(tmp_path, name)
        job.take()
        job.save(paths)
        return job, paths

    return make


def room(job: JobRecord, paths: RunPaths, unused: float = 4.0, **resources: Any) -> Room:
    def share(nodes: Any, left: Any) -> Slots:
        return share_of(ResourcesSpec(**resources), Slots(0.0, 0.0, 0, (), "c"), nodes, left, 8)

    return Room(job, paths, lambda: (NODES, {"CPU": unused}), share)


def test_what_fits_runs_side_by_side_and_the_next_waits_for_room(make_job: MakeJob) -> None:
    first, second, third = (make_job(name) for name in ("first", "second", "third"))
    assert room(*first, concurrent=3).reason() is None
    assert first[0].claim == {
        "a": {"CPU": 2.0, "GPU": 0.0, "memory": 0},
        "b": {"CPU": 1.0, "GPU": 0.0, "memory": 0},
    }
    assert room(*second).reason() is None
    assert second[0].claim == {"b": {"CPU": 1.0, "GPU": 0.0, "memory": 0}}
    waits = room(*third, unused=0.0)
    assert waits.reason() == (
        "for room: 0 of 4 CPUs of the cluster are free, too little for a trial (1 CPU on one node); first, second use "
        "the rest"
    )
    first[0].enter("finished")
    first[0].claim = {}
    first[0].save(first[1])
    assert room(*third, unused=3.0).reason() is None
    assert third[0].state == "running" and sum(used["CPU"] for used in third[0].claim.values()) == 3.0


def test_memory_is_waited_for_too(make_job: MakeJob) -> None:
    nodes = {name: {**node, "memory": 10e9} for name, node in NODES.items()}

    def waits(job: JobRecord, paths: RunPaths, each: float) -> Room:
        def share(nodes: Any, left: Any) -> Slots:
            return share_of(ResourcesSpec(), Slots(0.0, 0.0, 0, (), "c"), nodes, left, 1, GivenMemory(int(each)))

        return Room(job, paths, lambda: (nodes, {"CPU": 4.0, "memory": 20e9}), share)

    first, second, third = (make_job(name) for name in ("first", "second", "third"))
    assert waits(*first, 8e9).reason() is None and waits(*second, 6e9).reason() is None
    assert second[0].claim == {"b": {"CPU": 1.0, "GPU": 0.0, "memory": 6e9}}, "the other node has no room for it"
    assert waits(*third, 5e9).reason() == (
        "for room: 2 of 4 CPUs and 6 GB of 20 GB memory of the cluster are free, too little for a trial (1 CPU and "
        "5 GB of memory on one node); first, second use the rest"
    )
    with pytest.raises(RequestError, match="No node of the cluster has the 1 CPU and 11 GB of memory"):
        waits(*make_job("large"), 11e9).reason()


def test_who_waits_for_room_is_not_overtaken(make_job: MakeJob) -> None:
    user, large, small = (make_job(name) for name in ("user", "large", "small"))
    assert room(*user, concurrent=3).reason() is None
    asked = [room(*large, cpus_per_trial=2.0, unused=1.0).reason(), None]
    told: list[float] = []
    wait_until(lambda: asked.pop(0), *large, told.append)
    assert len(told) == 1 and (large[0].state, large[0].queued) == ("waiting", True)
    assert room(*small).reason() == "behind large, which was submitted before and waits too"
    assert [(one.job.name, one.position) for one in standings(user[1].root)] == [
        ("user", None),
        ("large", 1),
        ("small", 2),
    ]


def test_what_uses_the_cluster_and_claims_nothing_is_waited_for(make_job: MakeJob) -> None:
    assert "others use the rest" in (room(*make_job("alone"), unused=0.0).reason() or "")


def test_what_has_no_room_on_an_empty_cluster_either_is_refused(make_job: MakeJob) -> None:
    with pytest.raises(RequestError, match="No node of the cluster has the 3 CPUs"):
        room(*make_job("large"), cpus_per_trial=3.0).reason()


def test_a_node_that_dies_while_a_job_waits_for_it_is_waited_for(make_job: MakeJob) -> None:
    nodes, now = {"small": {"CPU": 1.0}, "large": {"CPU": 2.0}}, iter(range(0, 1000, 100))

    def share(nodes: Any, left: Any) -> Slots:
        return share_of(ResourcesSpec(cpus_per_trial=2.0), Slots(0.0, 0.0, 0, (), "c"), nodes, left, 8)

    waits = Room(*make_job("alone"), lambda: (nodes, {"CPU": 1.0}), share, lambda: next(now))
    assert (waits.reason() or "").startswith("for room: 1 of 3 CPUs")
    large = nodes.pop("large")
    assert waits.reason() == ("for a node: none that lives has enough for a trial (2 CPUs on one node) any more")
    nodes["large"] = large
    assert (waits.reason() or "").startswith("for room: 1 of 3 CPUs")


def test_the_cluster_is_asked_again_only_when_something_has_changed(make_job: MakeJob) -> None:
    asked, now = [], [0.0]
    job, paths = make_job("alone")

    def look() -> Any:
        asked.append(1)
        return NODES, {"CPU": 0.0}

    def share(nodes: Any, left: Any) -> Slots:
        return share_of(ResourcesSpec(), Slots(0.0, 0.0, 0, (), "c"), nodes, left, 8)

    waits = Room(job, paths, look, share, lambda: now[0])
    job.enter("waiting", waits.reason())
    assert waits.reason() == job.why and len(asked) == 1
    now[0] = 100.0
    waits.reason()
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("waiting", "for first, which is waiting"),
        ("running", "for first, which is running"),
        ("failed", "for first, which failed (why): `resume first --address http://h:1` when that is mended"),
        ("stopped", "for first, which was stopped: `resume first --address http://h:1`"),
        ("finished", None),
    ],
)
def test_a_job_waits_for_those_it_comes_after(make_job: MakeJob, state: Any, told: str | None) -> None:
    first, paths = make_job("first", address="http://h:1")
    first.enter(state, "why." if state == "failed" else None)
    first.save(paths)
    assert unfinished(*make_job("second", after=["first"])) == told


def test_a_job_waits_for_what_is_not_there_and_says_so(make_job: MakeJob) -> None:
    assert unfinished(*make_job("second", after=["first"])) == "for first, which is not there any more: `stop` this one"
