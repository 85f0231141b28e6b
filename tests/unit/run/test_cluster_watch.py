"""A cluster that stops answering is told of, once each time, and so are nodes that are lost."""

import socket
import threading
import time

import pytest

from spectral_search.run.cluster_slots import Node, share_of
from spectral_search.run.cluster_watch import watched_cluster, watched_nodes
from spectral_search.run.trial_memory import GivenMemory
from spectral_search.spec.search import ResourcesSpec
from spectral_search.train.devices import Slots

PERIOD, SILENCE = 0.02, 0.1
_ONE_CPU = share_of(ResourcesSpec(), Slots(0.0, 0.0, 0, (), "c"), [{"CPU": 1.0}], memory=GivenMemory(0))


def listening(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def grows(told: list[float], seconds: float) -> bool:
    """Whether it is told of within so many seconds."""
    before, until = len(told), time.monotonic() + seconds
    while len(told) == before and time.monotonic() < until:
        time.sleep(PERIOD)
    return len(told) > before


def test_silence_is_told_once_and_again_after_an_answer() -> None:
    told: list[float] = []
    head = listening()
    port = head.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with watched_cluster(
        address, lambda: told.append(time.monotonic()), period_seconds=PERIOD, silence_seconds=SILENCE
    ):
        assert not grows(told, 3 * SILENCE), "it answers"
        head.close()
        assert grows(told, 60.0)
        assert not grows(told, 3 * SILENCE), "it was told"
        with listening(port):
            assert not grows(told, 3 * SILENCE)
        assert grows(told, 60.0)
    assert not grows(told, 3 * SILENCE)


def test_of_ray_here_nothing_is_told() -> None:
    told: list[float] = []
    with watched_cluster(None, lambda: told.append(1.0), period_seconds=PERIOD, silence_seconds=SILENCE):
        assert not grows(told, 2 * SILENCE)


def test_lost_nodes_are_told_and_that_a_search_has_to_wait_for_one() -> None:
    small, large = {"CPU": 2.0, "memory": 1e9}, {"CPU": 2.0, "memory": 9e9}
    nodes, said, stranded = {"a": large, "b": large, "c": small}, list[str](), list[str | None]()

    asked = Slots(0.0, 0.0, 0, (), "c")
    slots = share_of(ResourcesSpec(), asked, list(nodes.values()), memory=GivenMemory(4_000_000_000))

    def said_of(change: str, node: Node | None, seconds: float = 60.0) -> str:
        before, until = len(said), time.monotonic() + seconds
        nodes.pop(change, None) if node is None else nodes.update({change: node})
        while len(said) == before and time.monotonic() < until:
            time.sleep(PERIOD)
        time.sleep(3 * PERIOD)
        return "".join(said[before:])

    with watched_nodes(lambda: dict(nodes), slots, said.append, stranded.append, period_seconds=PERIOD):
        time.sleep(3 * PERIOD)
        assert said_of("b", None) == (
            "1 node of the cluster is gone, with what trained there; what is left has room for 2 trials at a time, and "
            "the search goes on."
        )
        assert said_of("a", None) == (
            "1 node of the cluster is gone, and none that is left has the 1 CPU and 4 GB of memory of one trial: the "
            "search waits until one has."
        )
        assert said_of("a", small, SILENCE) == "", "which has too little memory"
        assert said_of("b", large) == "The cluster has a node for a trial again: the search goes on."
        assert said_of("d", large, SILENCE) == ""
    assert said_of("b", None, SILENCE) == "", "the search is over"
    assert stranded == ["1 CPU and 4 GB of memory", None]


def test_nodes_that_were_lost_before_the_first_look_are_told_too() -> None:
    looks, said = list[int](), list[str]()

    def living() -> dict[str, Node]:
        looks.append(1)
        if len(looks) == 1:
            raise ConnectionError("for a moment")
        return {"a": {"CPU": 0.0}}

    with watched_nodes(living, _ONE_CPU, said.append, period_seconds=PERIOD):
        until = time.monotonic() + 60.0
        while not said and time.monotonic() < until:
            time.sleep(PERIOD)
    assert said == ["No living node of the cluster has the 1 CPU of one trial: the search waits until one has."]


def test_what_is_seen_after_the_end_of_a_search_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By then a job has entered that it is over, and is not to be `running` again."""
    monkeypatch.setattr("spectral_search.run.cluster_watch._LOOK_S", 0.0)
    looks, asked, answers, told = list[int](), threading.Event(), threading.Event(), list[str | None]()

    def living() -> dict[str, Node]:
        looks.append(1)
        if len(looks) == 2:
            asked.set()
            answers.wait(60.0)
        return {}

    with watched_nodes(living, _ONE_CPU, told.append, told.append, period_seconds=PERIOD):
        assert asked.wait(60.0)
        (watch,) = (thread for thread in threading.enumerate() if thread.name == "node watch")
    answers.set()
    watch.join(60.0)
    assert not watch.is_alive() and told == []


def test_of_nodes_of_ray_here_nothing_is_told() -> None:
    with watched_nodes(None, Slots(1.0, 0.0, 1, ()), lambda text: None):
        assert "node watch" not in {thread.name for thread in threading.enumerate()}
