"""From the `model` section of a spec to a torch module."""

from pkgutil import resolve_name

from torch import nn

from spectral_search.models.input_fit import require_fit
from spectral_search.spec.families import family_of
from spectral_search.spec.family import BINS, InputShape
from spectral_search.spec.model_section import ModelSection


def build_model(
    spec: ModelSection, *, pixels: int, channels: int = 1, bins: int = BINS, height: int = 1, outputs: int = 1
) -> nn.Module:
    """Build the network of a spec, its weights drawn from torch's default generator alone.

    Args:
        spec: The `model` section.
        pixels: Of one example, per channel.
        channels: Of one example.
        bins: Parts that the examples fall into, that is experts, of a mixture.
        height: Rows that the pixels of a channel lie in.
        outputs: Numbers that the network gives for an example.

    Returns:
        A module that maps x_BCL to the standardised target y_B, or y_BO of several outputs, in float32 or better; where
        the family's `needs_bin` says so, it takes the bins 0 to bins-1 as a second argument, bin_B.

    Raises:
        RequestError: The network cannot read such an input.
    """
    require_fit(spec, pixels=pixels, channels=channels, height=height, outputs=outputs)
    shape = InputShape(pixels, channels, bins, height, outputs)
    # By its name, so that a spec can know its family without importing torch.
    model: nn.Module = resolve_name(family_of(spec.kind).network)(spec, shape)
    return model
