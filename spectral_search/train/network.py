"""A network with everything it needs to turn noisy spectra into log g in dex, in training and after.

Shape suffixes: D noise draws, N spectra, B batch, C channels, L pixels, F = C x L features.
"""

import numpy as np
import torch
from torch import nn

from spectral_search.models.build import build_model
from spectral_search.spec.families import family_of
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.spectra.training.dataset import Frozen, shared_tensor
from spectral_search.tasks.spectra.training.input_transforms import InputTransform, input_pixels
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing
from spectral_search.train.precision import FORMATS, autocast, resolve_precision

EVAL_ROWS = (64, 1024)
"""Fewest and most spectra predicted at once."""


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
        prep: Statistics of the training set.
        device: Where it runs.
    """

    def __init__(self, config: TrialConfig, prep: Preprocessing, device: torch.device) -> None:
        channels, pixels = config.data.input.channels, input_pixels(config.data.input, prep)
        model = build_model(config.model, pixels=pixels, channels=channels)
        if config.fit.target == "ridge_residual":
            model = ResidualOnRidge(_silenced(model), channels * pixels)
        self.config, self.device = config, device
        self.model = model.to(device)
        self.precision = resolve_precision(config.fit.precision, device)
        # A Ridge takes its product in float32.
        self.input_format = FORMATS[self.precision] if config.fit.target == "direct" else torch.float32
        self.input_key = config.data.input.model_dump_json()
        self._target_mean_dex, self._target_std_dex = prep.target_mean_dex, prep.target_std_dex
        self._family = family_of(config.model.kind)
        self._needs_bin = self._family.needs_bin(config.model)

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

    def standardise(self, log_g_B: torch.Tensor) -> torch.Tensor:
        """Labels in dex as the network's target: mean 0, standard deviation 1 over the training set."""
        return (log_g_B - self._target_mean_dex) / self._target_std_dex

    def output(self, x_BCL: torch.Tensor, bin_B: torch.Tensor) -> torch.Tensor:
        """Standardised log g, shape (B,), float32; with gradients unless the caller turned them off."""
        with autocast(self.precision, self.device):
            output_B: torch.Tensor = self.model(x_BCL, bin_B) if self._needs_bin else self.model(x_BCL)
        return output_B.float()

    def to_dex(self, output_B: torch.Tensor) -> torch.Tensor:
        """The inverse of `standardise`."""
        return output_B * self._target_std_dex + self._target_mean_dex


def eval_rows(batch_size: int) -> int:
    """Spectra predicted at once: as many as a training step takes, to need no more memory than it."""
    return int(np.clip(batch_size, *EVAL_ROWS))


@torch.no_grad()
def predict_frozen(network: Network, frozen: Frozen, transform: InputTransform) -> np.ndarray:
    """Predicted log g in dex for every frozen draw, float32 of shape (D, N); leaves the network in evaluation mode."""
    network.model.eval()
    draws, count = frozen.noisy_DNL.shape[:2]
    predicted_DN = np.empty((draws, count), np.float32)
    step = eval_rows(network.config.fit.batch_size)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        error_BL, bin_B = shared_tensor(frozen.error_NL[rows], network.device), shared_tensor(frozen.bin_N[rows])
        for draw in range(draws):
            x_BCL = transform(shared_tensor(frozen.noisy_DNL[draw, rows], network.device), error_BL)
            output_B = network.output(x_BCL, bin_B.to(network.device))
            predicted_DN[draw, rows] = network.to_dex(output_B).cpu().numpy()
    return predicted_DN
