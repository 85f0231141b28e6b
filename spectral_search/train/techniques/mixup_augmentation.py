"""Each example is a mean of two, weighted lambda and 1 - lambda, and so is its target (Zhang et al. 2018).

Shape suffixes: B batch, C channels, L length.
"""

import random
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from spectral_search.spec.augment_section import AugmentSection
from spectral_search.spec.base import SMALL

if TYPE_CHECKING:
    import torch


class _Mixup(AugmentSection):
    kind: Literal["mixup"]
    alpha: Annotated[float, Field(ge=SMALL, le=1000.0)] = Field(
        0.2, description="lambda is drawn from Beta(alpha, alpha) for each batch: small ones leave most as they are"
    )

    EXACT: ClassVar[bool] = False

    def mix(
        self, x_BCL: "torch.Tensor", target_B: "torch.Tensor", seed: int, height: int = 1
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch  # specs that name it are read without

        part = random.Random(seed).betavariate(self.alpha, self.alpha)
        # On the CPU, so that a GPU draws the same.
        partner_B = torch.randperm(len(x_BCL), generator=torch.Generator().manual_seed(seed)).to(x_BCL.device)
        return torch.lerp(x_BCL[partner_B], x_BCL, part), torch.lerp(target_B[partner_B], target_B, part)


AUGMENTATION = _Mixup
