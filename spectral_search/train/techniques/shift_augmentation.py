"""Each example is moved along its rows by a few values, all channels alike; the value at the edge fills what it leaves.

Shape suffixes: B batch, C channels, H rows, W values of a row.
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from spectral_search.spec.augment_section import AugmentSection
from spectral_search.spec.base import MANY

if TYPE_CHECKING:
    import torch


class _Shift(AugmentSection):
    kind: Literal["shift"]
    steps: Annotated[int, Field(ge=0, le=MANY)] = Field(
        1, description="most values that an example is moved by, to either side"
    )

    def apply(self, x_BCL: "torch.Tensor", seed: int, height: int = 1) -> "torch.Tensor":
        import torch  # specs that name it are read without

        x_BCHW = x_BCL.unflatten(2, (height, -1))
        width = x_BCHW.shape[-1]
        most, draw = min(self.steps, width - 1), torch.Generator(x_BCL.device).manual_seed(seed)
        by_B = torch.randint(-most, most + 1, (len(x_BCL),), generator=draw, device=x_BCL.device)
        from_BW = (torch.arange(width, device=x_BCL.device) - by_B.unsqueeze(1)).clamp_(0, width - 1)
        return x_BCHW.gather(3, from_BW[:, None, None].expand(x_BCHW.shape)).flatten(2)


AUGMENTATION = _Shift
