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

    @torch.no_grad()
    def take_step(self) -> None:
        """The same, without what torch looks at on the way, which for a small network costs more than the step."""
        if not all(_is_plain(group) for group in self.param_groups):
            self._step(None)
            return
        for group in self.param_groups:
            self._fused(group)

    def _fused(self, group: dict[str, Any]) -> None:
        """What torch's step comes to on a CPU."""
        stepped = [value for value in group["params"] if value.grad is not None]
        states = [self.state[value] for value in stepped]
        steps, means, squares = ([state[key] for state in states] for key in ("step", "exp_avg", "exp_avg_sq"))
        beta1, beta2 = group["betas"]
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            stepped,
            [value.grad for value in stepped],
            means,
            squares,
            [],
            steps,
            lr=group["lr"],
            beta1=beta1,
            beta2=beta2,
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            amsgrad=False,
            maximize=group["maximize"],
        )


def _is_plain(group: dict[str, Any]) -> bool:
    """Whether torch would take the step of a group by its one fused operation on a CPU."""
    return bool(group["fused"]) and not group["amsgrad"] and group["params"][0].device.type == "cpu"
