"""Networks of one family that take their steps as one, where the family has a stack for them."""

from collections.abc import Callable, Sequence
from pkgutil import resolve_name
from typing import Protocol

from torch import Tensor, nn

from spectral_search.spec.families import family_of

Dropout = Callable[[int, float, Tensor], None]
"""(network, p, factor_WB): fill the factors of the network's next layer, 0 with probability p, else 1 / (1 - p)."""


class Stack(Protocol):
    """Networks that are evaluated and differentiated as one.

    Each computes the same, bit for bit, in whatever company and on however many cores. The networks keep their modules.
    """

    def outputs(self, x_BCL: Tensor, dropout: Dropout | None = None) -> Tensor:
        """Standardised target of shape (K, B), float32; in evaluation, where `dropout` is None."""

    def backward(self, loss: Tensor) -> None:
        """Give every parameter its gradient of a loss."""

    def keep_statistics(self) -> None:
        """Let the batch statistics of the last forward pass in training count."""


def stack_networks(kind: str, networks: Sequence[nn.Module]) -> Stack:
    """Networks of a family that has a stack, bound to common storage until another stack binds them."""
    where = family_of(kind).stack
    if where is None:
        raise ValueError(f"networks of the kind {kind} have no stack")
    stack: Stack = resolve_name(where)(networks)
    return stack
