"""Normal noise on every value, anew in each batch."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from spectral_search.spec.augment_section import AugmentSection

if TYPE_CHECKING:
    import torch


class _Noise(AugmentSection):
    kind: Literal["noise"]
    sigma: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        0.01, description="its standard deviation, in units of the network's input"
    )

    EXACT: ClassVar[bool] = False

    def apply(self, x_BCL: "torch.Tensor", seed: int, height: int = 1) -> "torch.Tensor":
        import torch  # specs that name it are read without

        draw = torch.Generator(x_BCL.device).manual_seed(seed)
        noise_BCL = torch.randn(x_BCL.shape, generator=draw, device=x_BCL.device).mul_(self.sigma)
        return x_BCL + noise_BCL.to(x_BCL.dtype)


AUGMENTATION = _Noise
