"""From noise-free batches to the inputs of networks: gather, noise, input transform and number format in one go.

On a CPU each of these passes over a batch of 2048 x 4096 pixels costs as much memory traffic as a small network's step.
So they are made together, a stripe of rows at a time that stays in the caches, by as many threads as torch has. A
spectrum's noise follows from its place in the batch, not from stripes or threads. A GPU takes the whole batch at once.
Shape suffixes: B batch, S spectra of a stripe, C channels, K pixels kept, L pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from spectral_search.models.threads import for_each
from spectral_search.tasks.spectra.signal.components import ComponentBatch
from spectral_search.tasks.spectra.training.input_transforms import InputTransform
from spectral_search.tasks.spectra.training.training_batches import Batch

STRIPE_ROWS = 64
"""At most. 32 and 256 rows of 4096 pixels took longer on one core."""
_COMPONENT_ROWS = 512
"""Of spectra in components, which are a hundredth of their size. Always as many, whatever the number of threads: the
last digits of a product may depend on its rows."""


@dataclass(frozen=True)
class InputFormat:
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

    def inputs(
        self, batch: Batch | ComponentBatch, wanted: Mapping[str, InputFormat], *counter: int | str
    ) -> dict[str, torch.Tensor]:
        """The inputs of a batch by their keys, each of shape (B, C, K); `counter` names the noise."""
        count = len(batch.log_g_B)
        inputs = {key: want.empty((count,), self._device) for key, want in wanted.items()}
        if isinstance(batch, ComponentBatch):
            for_each(partial(_fill_of_components, inputs, batch, wanted, counter), _component_stripes(count))
        else:
            level = self._noise_level
            for_each(partial(_fill_of_pixels, inputs, batch, wanted, counter, level), stripes(count, self._device))
        return inputs


def _fill_of_pixels(
    inputs: dict[str, torch.Tensor],
    batch: Batch,
    wanted: Mapping[str, InputFormat],
    counter: tuple[int | str, ...],
    noise_level: float,
    rows: slice,
) -> None:
    noisy_SL, error_SL = batch.noisy(rows, noise_level, counter)
    for key, want in wanted.items():
        inputs[key][rows] = want.transform(noisy_SL, error_SL)


def _fill_of_components(
    inputs: dict[str, torch.Tensor],
    batch: ComponentBatch,
    wanted: Mapping[str, InputFormat],
    counter: tuple[int | str, ...],
    rows: slice,
) -> None:
    component_SK = batch.noisy(rows, counter)
    for key, want in wanted.items():
        inputs[key][rows] = want.transform.of_components(component_SK)


def _component_stripes(rows: int) -> list[slice]:
    """The parts that rows of components are handled in."""
    return [slice(start, min(start + _COMPONENT_ROWS, rows)) for start in range(0, rows, _COMPONENT_ROWS)]


def stripes(rows: int, device: torch.device) -> list[slice]:
    """The parts that rows are handled in: on a CPU small ones, at least one for each thread; elsewhere all at once."""
    step = min(STRIPE_ROWS, max(1, -(-rows // torch.get_num_threads()))) if device.type == "cpu" else max(1, rows)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]
