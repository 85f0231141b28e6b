"""An emulator of spectra: from labels and the level of the noise to the components of the noisy spectrum's mean.

A small network of smooth functions, fitted to the training spectra: it has no noise to average over, so that its error
falls for as long as it is trained. Polynomials of the labels are no match: where molecules form within a few hundred
kelvin, 1,350 of them (degree 8) were off by 2.7 times the noise where the network is off by 0.3. The noise is among its
inputs since clipping at 0 lifts the mean of faint pixels. What it errs by is measured on training spectra kept from it.
Shape suffixes: N training spectra, B spectra of a step, D labels, K components, U levels of the noise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from spectral_search.tasks.spectra.baselines.problem import Told
from spectral_search.tasks.spectra.training.dataset import shared_tensor

_WIDTH, _HIDDEN_LAYERS = 128, 3
STEPS = 6000
_BATCH = 256
_HELD_OUT = 8
"""One training spectrum in so many is kept to measure the error on, at most `_MOST_HELD`."""
_MOST_HELD = 4096
_LR = 5e-3
_SPREAD = 1.7
"""Half the range of an input: what varies over [0, 1] then has a standard deviation of 1."""
_STEP = 2e-3
"""Of a difference quotient, in units of a label's range."""


@dataclass(frozen=True)
class Emulator:
    """Components from labels.

    Attributes:
        net: The network; its inputs are the labels and the log of the noise, scaled.
        low_D, range_D: Smallest value and range of each label.
        noise: Mean and standard deviation of the log of the noise.
        scale_K: What its outputs are multiplied by.
        error: Root of the mean squared distance from held-out spectra, over all components together and in units of a
            spectrum's own noise.
        median_error: Median of that distance.
    """

    net: nn.Module
    low_D: np.ndarray
    range_D: np.ndarray
    noise: tuple[float, float]
    scale_K: Tensor
    error: float = float("nan")
    median_error: float = float("nan")

    def __call__(self, label_BD: np.ndarray, log_noise_B: np.ndarray | float) -> Tensor:
        """Mean components, float32 (B, K)."""
        with torch.no_grad():
            return self.of_inputs(torch.from_numpy(self.inputs(label_BD, log_noise_B)))

    def of_inputs(self, x_BI: Tensor) -> Tensor:
        """Mean components of scaled inputs."""
        value_BK: Tensor = self.net(x_BI) * self.scale_K
        return value_BK

    def inputs(self, label_BD: np.ndarray, log_noise_B: np.ndarray | float) -> np.ndarray:
        """Labels and noise as the network wants them, float32 (B, D + 1)."""
        x_BD = _SPREAD * (2.0 * (label_BD - self.low_D) / self.range_D - 1.0)
        noise_B = np.broadcast_to((np.asarray(log_noise_B) - self.noise[0]) / self.noise[1], len(label_BD))
        return np.column_stack([x_BD, noise_B]).astype(np.float32)

    def slopes(self, label_BD: np.ndarray, log_noise_B: np.ndarray) -> np.ndarray:
        """Derivatives of the components to the labels, by central differences, float64 (B, K, D)."""
        found = []
        for d in range(label_BD.shape[1]):
            shift_D = np.zeros(label_BD.shape[1])
            shift_D[d] = _STEP * self.range_D[d]
            ahead_BK, behind_BK = (self(label_BD + sign * shift_D, log_noise_B).double() for sign in (1.0, -1.0))
            # The network computes in float32: over a much smaller step the difference would be its rounding.
            found.append((ahead_BK - behind_BK).numpy() / (2.0 * shift_D[d]))
        return np.stack(found, 2)


def fit_emulator(label_ND: np.ndarray, log_noise_N: np.ndarray, mean_NK: np.ndarray, seed: int, told: Told) -> Emulator:
    """Fit to training spectra, but for those that tell the error.

    Args:
        label_ND: The labels that make the spectra.
        log_noise_N: log of the mean variance of a component.
        mean_NK: Means of the components, float32.
        seed: Of the network's start and of the order of spectra.
        told: Shows progress.
    """
    held_N = np.zeros(len(mean_NK), bool)
    held_N[:: max(_HELD_OUT, -(-len(mean_NK) // _MOST_HELD))] = True
    low_D, range_D = label_ND.min(0), np.ptp(label_ND, axis=0)
    spread = max(float(log_noise_N.std()), 1e-3)
    strength_K = torch.from_numpy(mean_NK[~held_N].std(0)).clamp(min=0.02)
    draws = torch.Generator().manual_seed(seed % 2**63)
    net = _network(label_ND.shape[1] + 1, mean_NK.shape[1], draws)
    # The root: outputs of strong and weak components then move at paces that differ less than their strengths do.
    emulator = Emulator(net, low_D, range_D, (float(log_noise_N.mean()), spread), strength_K.sqrt())
    x_NI, y_NK = torch.from_numpy(emulator.inputs(label_ND, log_noise_N)), shared_tensor(mean_NK)
    weight_N = torch.from_numpy(np.exp(-0.5 * log_noise_N).astype(np.float32))
    fitted_N = torch.from_numpy(np.flatnonzero(~held_N))
    _train(emulator, x_NI, y_NK, weight_N, fitted_N, draws, told("ceiling: steps of the emulator"))
    off_N = _distances(emulator, x_NI[held_N], y_NK[held_N], log_noise_N[held_N])
    error, median = float(np.sqrt(np.square(off_N).mean())), float(np.median(off_N))
    return Emulator(net, low_D, range_D, emulator.noise, emulator.scale_K, error, median)


def _network(inputs: int, outputs: int, draws: torch.Generator) -> nn.Module:
    layers: list[nn.Module] = []
    width = inputs
    for _ in range(_HIDDEN_LAYERS):
        layers += [nn.Linear(width, _WIDTH), nn.SiLU()]
        width = _WIDTH
    layers.append(nn.Linear(width, outputs))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            # The bounds that torch itself takes, but drawn here: the global generator must not decide the result.
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, draws)
            nn.init.uniform_(layer.bias, -bound, bound, draws)
    return nn.Sequential(*layers)


def _train(
    emulator: Emulator,
    x_NI: Tensor,
    y_NK: Tensor,
    weight_N: Tensor,
    fitted_N: Tensor,
    draws: torch.Generator,
    tell: Callable[[int, int], None],
) -> None:
    optimiser = torch.optim.Adam(emulator.net.parameters(), lr=_LR, betas=(0.9, 0.99))
    course = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LR, total_steps=STEPS, pct_start=0.1, final_div_factor=1e3)
    for step in range(STEPS):
        rows_B = fitted_N[torch.randint(len(fitted_N), (_BATCH,), generator=draws)]
        off_BK = emulator.of_inputs(x_NI[rows_B]) - y_NK[rows_B]
        # Weights between those of dex and those of the noise: bright spectra need more, but must not take all.
        loss = (off_BK.square().sum(1) * weight_N[rows_B]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        course.step()
        if step % 50 == 49:
            tell(step + 1, STEPS)


def _distances(emulator: Emulator, x_NI: Tensor, y_NK: Tensor, log_noise_N: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        square_N = (emulator.of_inputs(x_NI) - y_NK).square().sum(1).double().numpy()
    return np.asarray(np.sqrt(square_N * np.exp(-log_noise_N)))
