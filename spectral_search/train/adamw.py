"""Torch's AdamW without torch's compiler.

Torch's optimisers import the compiler to mark some of their methods as not to be compiled. Nothing here compiles, and
the import takes 2 s of CPU time in every process that trains.
"""

from collections.abc import Callable
from typing import Any

import torch


def _plain(method: Any) -> Any:
    """What torch's decorators wrapped, or the method as it is where they do so no more."""
    return getattr(method, "__wrapped__", method)


class AdamW(torch.optim.AdamW):
    """The same numbers as `torch.optim.AdamW`."""

    add_param_group = _plain(torch.optim.Optimizer.add_param_group)
    load_state_dict = _plain(torch.optim.Optimizer.load_state_dict)
    state_dict = _plain(torch.optim.Optimizer.state_dict)
    zero_grad = _plain(torch.optim.Optimizer.zero_grad)
    _step = _plain(torch.optim.AdamW.step)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step on the gradients that the parameters hold."""
        return self._step(closure)
