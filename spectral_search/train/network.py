"""A network between the input and the standardised label, in training and after.

Shape suffixes: B batch, C channels, L length, F = C x L features.
"""

from collections.abc import Iterator

import torch
from torch import nn

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.spec.families import family_of
from spectral_search.spec.run import TrialConfig
from spectral_search.task.training import InputShape
from spectral_search.train.compiled_steps import has_compiled_steps
from spectral_search.train.cpu_formats import cpu_is_intel
from spectral_search.train.mlp_pieces import is_small
from spectral_search.train.precision import FORMATS, autocast, resolve_precision
from spectral_search.train.recomputation import recompute_blocks


class ResidualOnRidge(nn.Module):
    """A fixed Ridge prediction plus what a network makes of the same input."""

    def __init__(self, network: nn.Module, features: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("ridge_weight_F", torch.zeros(features))
        self.register_buffer("ridge_bias", torch.zeros(()))

    @property
    def ridge(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights of shape (F,) and bias."""
        return self.get_buffer("ridge_weight_F"), self.get_buffer("ridge_bias")

    def forward(self, x_BCL: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        weight_F, bias = self.ridge
        with torch.autocast(x_BCL.device.type, enabled=False):
            ridge_B = x_BCL.float().flatten(1) @ weight_F + bias
        output_B: torch.Tensor = self.network(x_BCL, *rest)
        return ridge_B + output_B.float()


def _silenced(network: nn.Module) -> nn.Module:
    """The network with its last layers at 0: at first it adds nothing to the Ridge."""
    for part in network.modules():
        head = getattr(part, "head", None)
        if isinstance(head, nn.Module):
            last = [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    return network


class Network:
    """The model of a trial between input and label.

    Args:
        config: The trial's input, model and recipe.
        shape: Of one example.
        device: Where it runs.
    """

    def __init__(self, config: TrialConfig, shape: InputShape, device: torch.device) -> None:
        self._family = family_of(config.model.kind)
        model = build_model(config.model, **shape.sizes)
        if config.fit.checkpoint_activations:
            recompute_blocks(model)
        if config.fit.target == "ridge_residual":
            model = ResidualOnRidge(_silenced(model), shape.features)
        self.config, self.shape, self.device = config, shape, device
        self.model = model.to(device)
        self.precision = resolve_precision(config.fit.precision, device)
        if config.fit.precision == "auto" and self._is_faster_in_float32():
            self.precision = "float32"
        # A Ridge takes its product in float32, and what an augmentation makes of rounded values is not what rounding
        # makes of its values.
        plain = config.fit.target == "direct" and all(item.EXACT for item in config.fit.augment)
        self.input_format = FORMATS[self.precision] if plain else torch.float32
        self.input_key = config.data.input.model_dump_json()
        self._needs_context = self._family.needs_bin(config.model)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters by their names within the network, whether or not it adds to a Ridge."""
        model = self.model.network if isinstance(self.model, ResidualOnRidge) else self.model
        return model.named_parameters()

    @property
    def stackable(self) -> nn.Module | None:
        """The network without its Ridge, where it is one that can share products with others of its family."""
        if self._family.stack is None:
            return None
        return self.model.network if isinstance(self.model, ResidualOnRidge) else self.model

    @property
    def ridge(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Weights of shape (F,) and bias of the Ridge that the network adds to, if any."""
        return self.model.ridge if isinstance(self.model, ResidualOnRidge) else None

    def _is_faster_in_float32(self) -> bool:
        """Whether steps in machine code, which are in float32, take less time than products in a narrower format save.

        On Intel's CPUs: of a step of [256, 64] on the signal torch's operations in bfloat16 leave less than half to
        products. Not measured with AMX, where records of torch's operations are longer than these steps without it
        (docs/benchmarks.md).
        """
        batch = self.config.fit.batch_size * self.shape.features
        return cpu_is_intel() and is_small(4 * batch) and has_compiled_steps(self.stackable, "float32", self.device)

    def output(self, x_BCL: torch.Tensor, context_B: torch.Tensor) -> torch.Tensor:
        """The standardised target, shape (B,) or (B, O), float32; with gradients unless the caller turned them off."""
        compared = context_B.dim() == 2  # places of images that make pairs, see `TrainBatch`
        if compared and not self._family.compares:
            raise RequestError(
                f"A network of the kind {self.config.model.kind} compares no images but those that come together."
            )
        with autocast(self.precision, self.device):
            told = self._needs_context or compared
            output_B: torch.Tensor = self.model(x_BCL, context_B) if told else self.model(x_BCL)
        return output_B.float()
