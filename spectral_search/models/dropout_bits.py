"""What 16 random bits a value mean for dropout on a CPU: p becomes a multiple of 1 / 65536."""

import torch
from torch import Tensor

RESOLUTION = 1 << 16
"""Values that 16 bits tell apart."""
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Of the same width as a number format, by bytes."""


def dropped_of(p: float) -> int:
    """How many of RESOLUTION values are dropped."""
    # Never all of them: the factor on what is kept divides by how many are.
    return min(round(p * RESOLUTION), RESOLUTION - 1)


def kept_factor(dropped: int) -> float:
    """The factor on what is kept where so many of RESOLUTION values are dropped."""
    return RESOLUTION / (RESOLUTION - dropped)


def fill_factors(factor: Tensor, bits: Tensor, p: float) -> None:
    """Fill factors with 0, with probability p, or about 1 / (1 - p).

    Args:
        factor: Of any number format.
        bits: 16 random ones for each, int16 and of the same shape; they are written over.
        p: At least 0 and below 1.
    """
    dropped = dropped_of(p)
    kept = torch.tensor(kept_factor(dropped), dtype=factor.dtype)
    # Random bits are read with a sign, so that they begin at -RESOLUTION / 2 and not at 0. The answers are written as
    # integers, in place and then of the factor's own width: from booleans the cast would take as long as all the rest.
    torch.ge(bits, dropped - RESOLUTION // 2, out=bits)
    integer = _INTEGERS[factor.element_size()]
    factor.view(integer).copy_(bits).mul_(kept.view(integer).item())
