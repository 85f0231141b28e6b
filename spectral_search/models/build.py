"""From the `model` section of a spec to a torch module."""

from torch import nn

from spectral_search.models.cnn import Cnn
from spectral_search.models.mlp import Mlp
from spectral_search.models.moe_cnn import LearnedMoeCnn, OracleMoeCnn
from spectral_search.models.res_cnn import ResCnn
from spectral_search.models.shape import require_fit
from spectral_search.models.vit import Vit
from spectral_search.spec.model import CnnSpec, MlpSpec, ModelSpec, MoeCnnSpec, ResCnnSpec, VitSpec


def build_model(spec: ModelSpec, *, pixels: int, channels: int = 1, bins: int = 9) -> nn.Module:
    """Build the network of a spec, its weights drawn from torch's default generator alone.

    Args:
        spec: The `model` section.
        pixels: Pixels of one spectrum, per channel.
        channels: 1 for flux-like inputs, 2 for [flux, error] and its like.
        bins: T_eff x [M/H] bins, that is experts, of a mixture.

    Returns:
        A module that maps x_BCL to the standardised log g y_B in float32 or better; where `needs_bin` says so, it
        takes the bins 0 to bins-1 as a second argument, bin_B.

    Raises:
        RequestError: The network cannot read spectra of this many pixels.
    """
    require_fit(spec, pixels=pixels, channels=channels)
    match spec:
        case MlpSpec():
            return Mlp(spec, pixels, channels)
        case CnnSpec():
            return Cnn(spec, channels)
        case ResCnnSpec():
            return ResCnn(spec, channels)
        case VitSpec():
            return Vit(spec, pixels, channels)
        case MoeCnnSpec(gate="oracle"):
            return OracleMoeCnn(spec, channels, bins)
        case MoeCnnSpec():
            return LearnedMoeCnn(spec, channels, bins)


def needs_bin(spec: ModelSpec) -> bool:
    """Whether the network must be told the true bin of each spectrum."""
    return isinstance(spec, MoeCnnSpec) and spec.gate == "oracle"
