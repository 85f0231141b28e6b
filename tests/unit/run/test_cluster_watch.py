"""A cluster that stops answering is told of, once each time."""

import socket
import time

from spectral_search.run.cluster_watch import watched_cluster

PERIOD, SILENCE = 0.02, 0.1


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
