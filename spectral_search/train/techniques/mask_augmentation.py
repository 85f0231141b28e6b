"""Runs of neighbouring values are set to 0, as invalid ones are: a network then leans on no single one of them.

Shape suffixes: B batch, C channels, L length, R runs of an example, W values of a run.
"""

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from spectral_search.spec.augment_section import AugmentSection
from spectral_search.spec.base import MANY

if TYPE_CHECKING:
    import torch


class _Mask(AugmentSection):
    kind: Literal["mask"]
    share: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.1, description="part of an example's values that is hidden, on average"
    )
    run: Annotated[int, Field(ge=1, le=MANY)] = Field(1, description="neighbouring values hidden together")

    def apply(self, x_BCL: "torch.Tensor", seed: int, height: int = 1) -> "torch.Tensor":
        import torch  # specs that name the mask are read without it

        examples, _, length = x_BCL.shape
        run = min(self.run, length)
        runs = _runs(self.share, run, length)
        draw = torch.Generator(x_BCL.device).manual_seed(seed)
        # A run may begin before the first value and end behind the last, or values at the edges would be hidden less.
        start_BR = torch.randint(1 - run, length, (examples, runs), generator=draw, device=x_BCL.device)
        hidden_BRW = start_BR.unsqueeze(2) + torch.arange(run, device=x_BCL.device)
        inside_BX = hidden_BRW.clamp_(0, length - 1).flatten(1)
        shown_BL = torch.ones(examples, length, dtype=x_BCL.dtype, device=x_BCL.device)
        shown_BL.scatter_(1, inside_BX, 0.0)
        return x_BCL * shown_BL.unsqueeze(1)


def _runs(share: float, run: int, length: int) -> int:
    """How many runs hide a share: a value stays when it is missed by each of them, which may overlap."""
    missed_by_one = 1.0 - run / (length + run - 1)
    return round(math.log(1.0 - share) / math.log(missed_by_one)) if missed_by_one > 0.0 else 0


AUGMENTATION = _Mask
