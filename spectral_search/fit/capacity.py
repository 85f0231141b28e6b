"""How much memory members take while they train together. Imports no torch, so that a dry run can say it."""

from collections.abc import Iterable

from spectral_search.models.count import count_parameters
from spectral_search.spec.model import MlpSpec
from spectral_search.spec.run import TrialConfig

PARAMETER_BYTES = 28
"""Weight, gradient, two moments and the best epoch's weight in float32; copies of weight and gradient for products."""
ACTIVATION_BYTES = 24
"""Of a hidden unit for one spectrum of the batch, in float32: product, activation, dropout and their gradients."""


def member_bytes(config: TrialConfig, pixels: int) -> int:
    """What a member adds to a pass, for spectra of so many pixels.

    Only MLPs hold their activations at the same time; other networks take their steps one after the other.
    """
    given, model = config.data.input, config.model
    parameters = count_parameters(model, pixels=given.kept_pixels(pixels), channels=given.channels)
    units = config.fit.batch_size * sum(model.hidden) if isinstance(model, MlpSpec) else 0
    return PARAMETER_BYTES * parameters + ACTIVATION_BYTES * units


def pack_limit(configs: Iterable[TrialConfig], pixels: int, free_bytes: float) -> int:
    """How many members fit at once, each as large as the largest of these; at least one."""
    return max(1, int(free_bytes / max(member_bytes(config, pixels) for config in configs)))
