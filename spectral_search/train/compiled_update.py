"""AdamW's steps of small networks on a CPU, clipping included, as one call without Python's lock."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from spectral_search.train.step_kernels import LANES, RECORD_WORDS, address, float_word, run


class CompiledUpdate:
    """Steps of an optimiser whose parameters lie on a CPU in float32, all with gradients.

    Its moments stay those of the optimiser, as checkpoints hold them.

    Args:
        optimizer: With its state; its groups are asked for their rates at each step.
        largest: Norm that gradients are clipped to; none for as they are.
    """

    def __init__(self, optimizer: torch.optim.AdamW, largest: float | None) -> None:
        self._optimizer, self._largest = optimizer, largest
        self._sums, self._factor = np.zeros(LANES, np.float32), np.ones(1, np.float32)
        self._parameters: list[nn.Parameter] = [p for group in optimizer.param_groups for p in group["params"]]
        sums, factor = self._sums.ctypes.data, self._factor.ctypes.data
        squares = [[address("add_squares"), 0, value.numel(), sums] for value in self._parameters]
        clip = [[address("clip_factor"), sums, float_word(largest), factor]] if largest is not None else []
        adamw = [[address("adamw"), 0, 0, 0, 0, 0, value.numel(), factor] for value in self._parameters]
        records = (squares if largest is not None else []) + clip + adamw
        self._table = np.array([record + [0] * (RECORD_WORDS - len(record)) for record in records], np.int64)
        self._norms, self._steps = self._table[: len(records) - len(adamw)], self._table[len(records) - len(adamw) :]

    def step(self) -> None:
        """One step on the gradients that the parameters hold."""
        state = self._optimizer.state
        # Asked each time: a checkpoint that is loaded, or another stack, puts them elsewhere.
        addresses = [_addresses(value, state[value]) for value in self._parameters]
        self._steps[:, 1:6] = addresses
        if self._largest is not None:
            self._sums[:] = 0.0
            self._norms[:-1, 1] = self._steps[:, 2]
        self._steps[:, 8:14] = [words for group in self._optimizer.param_groups for words in self._words(group)]
        run(self._table)

    def _words(self, group: dict[str, Any]) -> list[np.ndarray]:
        """What differs between groups, for each parameter of one."""
        (first, second), lr = group["betas"], group["lr"]
        taken = float(self._optimizer.state[group["params"][0]]["step"]) + 1.0
        size, root = lr / (1.0 - first**taken), 1.0 / math.sqrt(1.0 - second**taken)
        numbers = 1.0 - lr * group["weight_decay"], 1.0 - first, 1.0 - second, size, root, group["eps"]
        return [np.array(numbers, np.float32).view(np.uint32)] * len(group["params"])


def _addresses(value: nn.Parameter, state: dict[str, torch.Tensor]) -> tuple[int, ...]:
    assert value.grad is not None and value.grad.is_contiguous() and value.is_contiguous()
    held = value, value.grad, state["exp_avg"], state["exp_avg_sq"], state["step"]
    return tuple(tensor.data_ptr() for tensor in held)
