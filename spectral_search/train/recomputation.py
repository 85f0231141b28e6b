"""Blocks whose activations are not kept but computed once more on the way back (Chen et al. 2016), by torch's own."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_blocks(model: nn.Module) -> None:
    """Let each block of a network keep no more than its input; numbers and names of weights stay as they are.

    Args:
        model: A network whose blocks lie in an `nn.Sequential` called `blocks` or `layers`, perhaps of a part of it.
    """
    found = [part for name, part in model.named_modules() if name.rpartition(".")[2] in ("blocks", "layers")]
    for block in [block for part in found if isinstance(part, nn.Sequential) for block in part.children()]:
        # By its class and not by a wrapper, which would rename weights, nor by a closure, which would outlive it.
        kind: type[nn.Module] = type(block)
        block.__class__ = _recomputing(kind)  # type: ignore[arg-type]  # torch's stubs make modules' types unhashable


@cache
def _recomputing(kind: type[nn.Module]) -> type[nn.Module]:
    class Recomputing(kind):  # type: ignore[valid-type, misc]
        """A block of this kind in training."""

        def forward(self, *inputs: torch.Tensor) -> Any:
            if not torch.is_grad_enabled():
                return super().forward(*inputs)
            contexts = lambda: (nullcontext(), _statistics_kept(self))  # noqa: E731
            return checkpoint(super().forward, *inputs, use_reentrant=False, context_fn=contexts)

    return Recomputing


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """While it lasts, norms take no batch into their running statistics: they took it in on the way there."""
    # They have to be there all the same: autograd keeps them, and what is kept must be what was kept before.
    norms = [
        (part, part.momentum, part.num_batches_tracked) for part in block.modules() if isinstance(part, _BatchNorm)
    ]
    for norm, _, _ in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, batches in norms:
            norm.momentum, norm.num_batches_tracked = momentum, batches
