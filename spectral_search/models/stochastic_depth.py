"""Residual branches left out at random in training, one example apart from another (Huang et al. 2016)."""

import torch
from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """Leaves a branch out with a probability, and makes up for it where it stays; in evaluation it does nothing.

    Args:
        p: Probability with which an example goes without the branch.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, branch_B: Tensor) -> Tensor:
        """Map (B, ...) to the same shape; draws from torch's default generator."""
        if not self.training:
            return branch_B
        return branch_B * self.factor(branch_B)

    def factor(self, branch_B: Tensor) -> Tensor:
        """What each example's branch is multiplied by in training, of shape (B, 1, ...): 0, or 1 / (1 - p)."""
        shape = len(branch_B), *[1] * (branch_B.dim() - 1)
        kept_B = torch.empty(shape, dtype=branch_B.dtype, device=branch_B.device).bernoulli_(1.0 - self.p)
        return kept_B.div_(1.0 - self.p)


def depth_of(p: float, block: int, blocks: int) -> StochasticDepth | None:
    """That of a block, counted from 0: the probability grows in a line to p in the last; None where p is 0."""
    return StochasticDepth(p * (block + 1) / blocks) if p > 0.0 else None
