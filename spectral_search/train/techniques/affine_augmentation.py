"""Images are turned, moved and made larger, a little: a network then learns what is drawn, not where and how upright.

Shape suffixes: B batch, C channels, L length = H x H pixels, I images, all of a batch.
"""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from spectral_search.spec.augment_section import AugmentSection

if TYPE_CHECKING:
    import torch


class _Affine(AugmentSection):
    kind: Literal["affine"]
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = Field(
        10.0, description="most that an image is turned, degrees"
    )
    shift: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.1, description="most that it is moved, in parts of its side"
    )
    crop: Annotated[float, Field(gt=0.0, le=1.0)] = Field(0.9, description="smallest part of its side that is kept")
    images: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="images that the channels of an example are of, each changed by itself"
    )

    EXACT: ClassVar[bool] = False

    def input_faults(self, channels: int, length: int, height: int) -> list[str]:
        if height * height != length or height == 1:
            return ["fit.augment affine turns square images, and these inputs are none; leave it out"]
        if channels % self.images:
            return [
                f"fit.augment affine has images {self.images}, and {channels} channels are not of so many; use less"
            ]
        return []

    def apply(self, x_BCL: "torch.Tensor", seed: int, height: int = 1) -> "torch.Tensor":
        import torch  # specs that name it are read without it
        from torch.nn import functional

        examples, channels, length = x_BCL.shape
        side = math.isqrt(length)
        x_ICHH = x_BCL.reshape(examples * self.images, channels // self.images, side, side).float()
        # On the CPU, so that a GPU draws the same.
        draw = torch.Generator().manual_seed(seed)
        drawn_4I = torch.rand(4, len(x_ICHH), generator=draw) * 2.0 - 1.0
        map_I23 = self._maps(drawn_4I).to(x_BCL.device)
        grid_IHH2 = functional.affine_grid(map_I23, list(x_ICHH.shape), align_corners=False)
        # What comes in from outside goes on as the border is.
        made_ICHH = functional.grid_sample(x_ICHH, grid_IHH2, padding_mode="border", align_corners=False)
        return made_ICHH.reshape(x_BCL.shape).to(x_BCL.dtype)

    def _maps(self, drawn_4I: "torch.Tensor") -> "torch.Tensor":
        """From places of new images to those of old ones, each from -1 to 1, for draws from -1 to 1: (I, 2, 3)."""
        import torch

        turned, size, across, down = drawn_4I
        angle_I = turned * math.radians(self.rotation)
        kept_I = 1.0 - (1.0 - self.crop) * (0.5 + 0.5 * size)
        # A crop may lie anywhere in the image; a shift goes beyond it.
        room_I = 1.0 - kept_I + 2.0 * self.shift
        cos_I, sin_I = kept_I * torch.cos(angle_I), kept_I * torch.sin(angle_I)
        rows = [torch.stack([cos_I, -sin_I, across * room_I], 1), torch.stack([sin_I, cos_I, down * room_I], 1)]
        return torch.stack(rows, 1)


AUGMENTATION = _Affine
