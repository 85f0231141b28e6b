"""Tells that a joined cluster does not answer any more.

Ray waits a minute for its head and then ends the process, from C++ and in words about itself: by then whoever looks at
the search is to know what became of it.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

_PERIOD_S, _SILENCE_S = 5.0, 20.0
"""Between two looks, and how long nothing has to answer."""


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
