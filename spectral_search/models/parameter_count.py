"""How many parameters a network has, in closed form. Imports no torch, so that a dry run can say it at once."""

from spectral_search.models.input_fit import require_fit
from spectral_search.spec.families import family_of
from spectral_search.spec.family import BINS, InputShape
from spectral_search.spec.model_section import ModelSection


def count_parameters(
    spec: ModelSection, *, pixels: int, channels: int = 1, bins: int = BINS, height: int = 1, outputs: int = 1
) -> int:
    """Trainable parameters of `build_model` with the same arguments.

    Raises:
        RequestError: The network cannot read such an input.
    """
    require_fit(spec, pixels=pixels, channels=channels, height=height, outputs=outputs)
    return family_of(spec.kind).parameters(spec, InputShape(pixels, channels, bins, height, outputs))
