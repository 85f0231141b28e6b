"""A run of each example, or a box where values lie in rows, is that of another one; targets are mixed by what each has.

Yun et al. 2019. Shape suffixes: B batch, C channels, H rows, W values of a row.
"""

import math
import random
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from spectral_search.spec.augment_section import AugmentSection
from spectral_search.spec.base import SMALL

if TYPE_CHECKING:
    import torch


class _Cutmix(AugmentSection):
    kind: Literal["cutmix"]
    alpha: Annotated[float, Field(ge=SMALL, le=1000.0)] = Field(
        1.0, description="the part that stays is drawn from Beta(alpha, alpha) for each batch"
    )

    def mix(
        self, x_BCL: "torch.Tensor", target_B: "torch.Tensor", seed: int, height: int = 1
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch  # specs that name it are read without

        draw = random.Random(seed)
        taken = 1.0 - draw.betavariate(self.alpha, self.alpha)
        x_BCHW = x_BCL.unflatten(2, (height, -1)).clone()
        width = x_BCHW.shape[-1]
        # The root of it along both sides, so that the area is the part that is taken.
        rows, columns = (_run(draw, size, taken if height == 1 else math.sqrt(taken)) for size in (height, width))
        if height == 1:
            # Of a single row, rounding may have left none.
            rows = slice(0, 1)
        partner_B = torch.randperm(len(x_BCL), generator=torch.Generator().manual_seed(seed)).to(x_BCL.device)
        x_BCHW[:, :, rows, columns] = x_BCL[partner_B].unflatten(2, (height, -1))[:, :, rows, columns]
        # By what was really taken: the edges cut runs off.
        part = 1.0 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        return x_BCHW.flatten(2), torch.lerp(target_B[partner_B], target_B, part)


def _run(draw: random.Random, size: int, part: float) -> slice:
    """Neighbours around a random middle, a part of all of them but for what lies beyond the ends."""
    half, middle = size * part / 2.0, draw.uniform(0.0, size)
    return slice(max(0, round(middle - half)), min(size, round(middle + half)))


AUGMENTATION = _Cutmix
