"""Predictions, made in one way for a search, a re-test, `evaluate` and `predict`.

Shape suffixes: D draws, N examples, B examples at a time, K networks, C channels, L length, O outputs of an example.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch

from spectral_search.task.training import Measured, TargetScale, Wanted
from spectral_search.train.network import Network

# The fewest are what `capacity` counts with too, which imports no torch and so not this.
_EVAL_ROWS = (64, 1024)
"""Fewest and most examples predicted at once."""


class Predicts(Protocol):
    """Networks that read one input."""

    @property
    def input_key(self) -> str:
        """Which one."""

    def outputs(self, x_BCL: torch.Tensor, context_B: torch.Tensor) -> torch.Tensor:
        """Standardised predictions in evaluation, float32 of shape (K, B) or (K, B, O)."""


class LoneNetwork:
    """One network that predicts."""

    def __init__(self, network: Network) -> None:
        self._network, self.input_key = network, network.input_key

    def outputs(self, x_BCL: torch.Tensor, context_B: torch.Tensor) -> torch.Tensor:
        self._network.model.eval()
        return self._network.output(x_BCL, context_B).unsqueeze(0)


def rows_at_once(batch_size: int) -> int:
    """Examples predicted at once: as many as a training step takes, to need no more memory than it."""
    return int(np.clip(batch_size, *_EVAL_ROWS))


@torch.no_grad()
def predict(
    networks: Sequence[Predicts], measured: Measured, wanted: Mapping[str, Wanted], scale: TargetScale, rows: int
) -> list[np.ndarray]:
    """Predictions in the unit of the labels, float32 of shape (D, N) or (D, N, O), one array a network, in order.

    Args:
        networks: What predicts.
        measured: The examples.
        wanted: The inputs that the networks read, by key.
        scale: Of the labels.
        rows: Examples at once.
    """
    predicted: list[list[np.ndarray]] = [[] for _ in networks]
    for part in measured.parts(wanted, rows):
        for place, network in enumerate(networks):
            output_KB = scale.restore(network.outputs(part.inputs[network.input_key], part.context_B)).cpu().numpy()
            if not predicted[place]:
                shape = measured.draws, measured.count, *output_KB.shape[2:]
                predicted[place] = [np.empty(shape, np.float32) for _ in output_KB]
            for known_DN, output_B in zip(predicted[place], output_KB, strict=True):
                known_DN[part.draw, part.rows] = output_B
    return [array_DN for arrays in predicted for array_DN in arrays]
