"""Timing of short pieces of work, fair to both sides of a ratio."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

Work = Callable[[], object]


def _seconds(work: Work, device: torch.device | None = None) -> float:
    """Wall time of one call, until the device has done what was asked of it."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def best_seconds(works: Sequence[Work], rounds: int, device: torch.device | None = None) -> list[float]:
    """The best time of each piece of work, after one call to warm up.

    They take turns, so that a disturbance of the machine falls on all of them; the best of several is what each takes
    undisturbed.
    """
    for work in works:
        work()
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        best = [min(known, _seconds(work, device)) for known, work in zip(best, works, strict=True)]
    return best


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for torch's operations, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
