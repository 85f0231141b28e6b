"""Tells that a joined cluster does not answer any more, or has lost nodes.

Ray waits a minute for its head and then ends the process, from C++ and in words about itself: by then whoever looks at
the search is to know what became of it. Of a node that is gone Ray says nothing, and trials that have room on no other
one wait for ever.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread

from spectral_search.run.cluster_slots import Node, still_held, told_of_slot
from spectral_search.train.devices import Slots

_PERIOD_S, _SILENCE_S = 5.0, 20.0
"""Between two looks, and how long nothing has to answer."""
_LOOK_S = 5.0
"""How long a look that has begun may take at the end of a search."""


@contextmanager
def watched_cluster(
    address: str | None,
    tell: Callable[[], None],
    *,
    period_seconds: float = _PERIOD_S,
    silence_seconds: float = _SILENCE_S,
) -> Iterator[None]:
    """Call `tell` once, from a thread, each time that a cluster stops answering.

    Args:
        address: HOST:PORT of its head; None for a Ray of this process's own, which nobody need watch.
        tell: Says so.
        period_seconds: Between two looks.
        silence_seconds: How long nothing has to answer; after that it is told.
    """
    if address is None:
        yield
        return
    over = Event()
    thread = Thread(
        target=_watch, args=(address, tell, over, period_seconds, silence_seconds), name="cluster watch", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def watched_nodes(
    living: Callable[[], Mapping[str, Node]] | None,
    slots: Slots,
    say: Callable[[str], None],
    stranded: Callable[[str | None], None] = lambda asked: None,
    *,
    period_seconds: float = _PERIOD_S,
) -> Iterator[None]:
    """Say, from a thread, that nodes are gone, and what is left for the search; and that there is room again.

    Args:
        living: Each living node with what it has, by its id; None for a Ray of this process's own.
        slots: What the search has begun with: its trials go on asking for as much.
        say: Shows a sentence.
        stranded: Told what a trial asks for, for people, when no node has it any more, and None when one has it again.
        period_seconds: Between two looks.
    """
    if living is None:
        yield
        return
    over = Event()
    thread = Thread(
        target=_watch_nodes, args=(living, slots, say, stranded, over, period_seconds), name="node watch", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        # A look after Ray's end would start another Ray; but none may hold up the end of a search either.
        thread.join(_LOOK_S)


def _watch_nodes(
    living: Callable[[], Mapping[str, Node]],
    slots: Slots,
    say: Callable[[str], None],
    stranded: Callable[[str | None], None],
    over: Event,
    period: float,
) -> None:
    before, had_room = _living_now(living) or {}, True
    while not over.wait(period):
        now = _living_now(living)
        if over.is_set():  # the answer took longer than the search, and is of no use to anybody
            return
        if now is None:
            continue
        lost, before = len(before.keys() - now.keys()), now
        held = still_held(slots, now.values())
        gone = f"{lost} node{'s' if lost > 1 else ''} of the cluster {'are' if lost > 1 else 'is'} gone"
        if not held and had_room:
            one = f"{told_of_slot(slots)} of one {'shared pass' if slots.passes else 'trial'}"
            # Of one that died before the first look, as while the data were read, nothing else is known here.
            none = f"{gone}, and none that is left" if lost else "No living node of the cluster"
            say(f"{none} has the {one}: the search waits until one has.")
            stranded(told_of_slot(slots))
        elif held and not had_room:
            say("The cluster has a node for a trial again: the search goes on.")
            stranded(None)
        elif held and lost:
            trials = f"{held} trial{'s' if held > 1 else ''} at a time"
            say(f"{gone}, with what trained there; what is left has room for {trials}, and the search goes on.")
        had_room = held > 0


def _living_now(living: Callable[[], Mapping[str, Node]]) -> Mapping[str, Node] | None:
    """The living nodes; None where there is no answer."""
    try:
        return living()
    except Exception:  # of whatever kind: what a silent head does to Ray's calls is told by the other watch
        return None


def _watch(address: str, tell: Callable[[], None], over: Event, period: float, silence: float) -> None:
    silent = 0.0
    while not over.wait(period):
        if _answers(address, period):
            silent = 0.0
            continue
        if silent < silence <= silent + period:
            tell()
        silent += period


def _answers(address: str, seconds: float) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds):
            return True
    except OSError:
        return False
