"""From noise-free batches to the inputs of networks: gather, noise, input transform and number format in one go.

On a CPU each of these passes over a batch of 2048 x 4096 pixels costs as much memory traffic as a small network's step.
So they are made together, a stripe of rows at a time that stays in a core's cache, by as many threads as torch has; and
noise has a counter for each stripe, so that it does not depend on them. A GPU takes the whole batch at once.
Shape suffixes: B batch, S spectra of a stripe, C channels, K pixels kept, L pixels.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

import torch

from spectral_search.data.batches import Batch
from spectral_search.data.inputs import InputTransform
from spectral_search.data.noise import add_noise, generator

STRIPE_ROWS = 32
"""Few enough for a core's cache. Part of what makes the noise: other stripes, other draws."""


@dataclass(frozen=True)
class Wanted:
    """An input that some networks read, and the number format of their products."""

    transform: InputTransform
    format: torch.dtype

    def empty(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """Room for the inputs of such a set of spectra, shape (..., C, K)."""
        return torch.empty(*shape, self.transform.channels, self.transform.pixels, dtype=self.format, device=device)


class Feed:
    """Makes the inputs of training batches.

    Args:
        noise_level: Factor on the error.
        device: Where the batches are and the inputs go.
    """

    def __init__(self, noise_level: float, device: torch.device) -> None:
        self._noise_level, self._device = noise_level, device
        self._threads = Threads(device)

    def inputs(self, batch: Batch, wanted: Mapping[str, Wanted], *counter: int | str) -> dict[str, torch.Tensor]:
        """The inputs of a batch by their keys, each of shape (B, C, K); `counter` names the noise."""
        count = len(batch.log_g_B)
        inputs = {key: want.empty((count,), self._device) for key, want in wanted.items()}

        def fill(rows: slice) -> None:
            rng = generator(self._device, *counter, rows.start)
            flux_SL, error_SL = batch.spectra(rows)
            noisy_SL = add_noise(flux_SL, error_SL, self._noise_level, rng)
            for key, want in wanted.items():
                inputs[key][rows] = want.transform(noisy_SL, error_SL)

        self._threads.each(fill, count)
        return inputs


class Threads:
    """Work on stripes of rows, on a CPU by as many threads as torch has, in each of which torch has that one alone.

    Args:
        device: Where the rows are; a GPU is given all rows at once.
    """

    def __init__(self, device: torch.device) -> None:
        self._striped = device.type == "cpu"
        self._pool: ThreadPoolExecutor | None = None
        self._count = 1

    def each(self, work: Callable[[slice], None], rows: int) -> None:
        """Do the work for every stripe of so many rows; the threads take the stripes as they come."""
        count = torch.get_num_threads()
        step = STRIPE_ROWS if self._striped else rows
        stripes = iter([slice(start, min(start + step, rows)) for start in range(0, rows, step)])
        if count == 1 or not self._striped:
            _work_through(work, stripes)
            return
        if self._pool is None or self._count != count:
            self._pool, self._count = _started(count), count
        for future in [self._pool.submit(_work_through, work, stripes) for _ in range(count)]:
            future.result()


def _work_through(work: Callable[[slice], None], stripes: Iterator[slice]) -> None:
    for stripe in stripes:
        work(stripe)


def _started(count: int) -> ThreadPoolExecutor:
    """A pool whose threads are there, each with one thread for torch's operations."""
    all_started = Barrier(count)
    pool = ThreadPoolExecutor(count, initializer=_use_one_thread)
    for future in [pool.submit(all_started.wait) for _ in range(count)]:
        future.result()
    # The number is each thread's own, but also what threads yet to come begin with.
    torch.set_num_threads(count)
    return pool


def _use_one_thread() -> None:
    # Asked first, since a thread's first operation takes over the number of the process.
    torch.get_num_threads()
    torch.set_num_threads(1)
