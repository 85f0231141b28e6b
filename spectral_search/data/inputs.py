"""From a noisy spectrum to what the network sees, by the name in `data.input.kind`.

Invalid values (error 0) and masked pixels always give an input of exactly 0, in train, val and test alike.
Shape suffixes: B spectra, C channels, L pixels of a spectrum, K pixels kept (all, unless `top_pixels` is set).
"""

from collections.abc import Callable

import numpy as np
import torch

from spectral_search.data.preprocess import QUANTILES, Preprocessing
from spectral_search.errors import RequestError
from spectral_search.spec.data import InputSpec

SMALLEST = float(torch.finfo(torch.float32).tiny)
"""Stands for the error of an invalid value, whose centred flux is 0: 0 / SMALLEST = 0 without a mask."""
RESOLUTION = 1e-6
"""Standard deviation / mean below which a float32 value is taken for constant."""


class InputTransform:
    """Callable (noisy_BL, error_BL) -> x_BCK on one device.

    Args:
        spec: The `data.input` section.
        prep: Statistics of the training set.
        noise_level: Factor on the error in the noise model; the statistics of the noisy flux follow from it.
        device: Where the spectra are.

    Raises:
        RequestError: `top_pixels` without a pixel ranking.
    """

    def __init__(
        self, spec: InputSpec, prep: Preprocessing, noise_level: float, device: torch.device | str = "cpu"
    ) -> None:
        self.channels = spec.channels
        self.pixels = spec.kept_pixels(prep.pixels)
        self._spec = spec
        kept_K = np.arange(prep.pixels) if spec.top_pixels is None else _kept_pixels(prep, self.pixels)

        def tensor(value_L: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(value_L[kept_K], dtype=torch.float32, device=device)

        self._kept_K = None if spec.top_pixels is None else torch.as_tensor(kept_K, device=device)
        self._centre_K = tensor(prep.centre_L)
        self._inverse_std_K = tensor(_inverse_std(prep.noisy_var_L(noise_level), prep.mean_L))
        self._error_mean_K = tensor(prep.error_mean_L)
        self._error_inverse_std_K = tensor(_inverse_std(prep.error_var_L, prep.error_mean_L))
        self._inverse_mean_K = tensor(prep.inverse_error_mean_L)
        self._inverse_inverse_std_K = tensor(_inverse_std(prep.inverse_error_var_L, prep.inverse_error_mean_L))
        self._floor = max(SMALLEST, _error_quantile(spec.error_floor, prep))

    def __call__(self, noisy_BL: torch.Tensor, error_BL: torch.Tensor) -> torch.Tensor:
        """Map flux and 1-sigma error, both conditioned and of shape (B, L), to the input (B, C, K), float32."""
        noisy_BK, error_BK = noisy_BL, error_BL
        if self._kept_K is not None:
            noisy_BK, error_BK = (values_BL.index_select(1, self._kept_K) for values_BL in (noisy_BL, error_BL))
        x_BK = _KINDS[self._spec.kind](self, noisy_BK, error_BK)
        if self._spec.squash == "asinh":
            x_BK.asinh_()
        elif self._spec.squash == "log1p":
            x_BK = x_BK.sign().mul_(x_BK.abs_().log1p_())
        if self._spec.clamp is not None:
            x_BK.clamp_(-self._spec.clamp, self._spec.clamp)
        if self._spec.kind == "flux_error":
            return torch.stack([x_BK, self._error_channel(error_BK)], 1)
        if self._spec.kind == "flux_inverse_error":
            return torch.stack([x_BK, self._inverse_error_channel(error_BK)], 1)
        return x_BK.unsqueeze(1)

    def _standardize(self, noisy_BK: torch.Tensor, error_BK: torch.Tensor) -> torch.Tensor:
        # Invalid values hold the centre since the spectra were conditioned, so they come out as exactly 0.
        return (noisy_BK - self._centre_K).mul_(self._inverse_std_K)

    def _whiten(self, noisy_BK: torch.Tensor, error_BK: torch.Tensor) -> torch.Tensor:
        return (noisy_BK - self._centre_K).div_(error_BK.clamp(min=self._floor))

    def _raw_whiten(self, noisy_BK: torch.Tensor, error_BK: torch.Tensor) -> torch.Tensor:
        return _masked(noisy_BK / error_BK.clamp(min=self._floor), error_BK)

    def _error_channel(self, error_BK: torch.Tensor) -> torch.Tensor:
        return _masked((error_BK - self._error_mean_K).mul_(self._error_inverse_std_K), error_BK)

    def _inverse_error_channel(self, error_BK: torch.Tensor) -> torch.Tensor:
        inverse_BK = error_BK.clamp(min=SMALLEST).reciprocal_()
        return _masked(inverse_BK.sub_(self._inverse_mean_K).mul_(self._inverse_inverse_std_K), error_BK)


def _kept_pixels(prep: Preprocessing, count: int) -> np.ndarray:
    """The most important pixels, in the order of their wavelength."""
    if len(prep.pixel_rank_L) == 0:
        raise RequestError("data.input.top_pixels needs a pixel ranking, and this preprocessing holds none.")
    return np.sort(prep.pixel_rank_L[:count])


def _error_quantile(fraction: float, prep: Preprocessing) -> float:
    return float(np.interp(fraction, QUANTILES, prep.error_quantiles_Q)) if fraction else 0.0


def _inverse_std(var_L: np.ndarray, mean_L: np.ndarray) -> np.ndarray:
    """1 / sqrt(var), and 0 where nothing varies beyond the last digits of float32, as at masked pixels."""
    varies_L = var_L > np.square(RESOLUTION * mean_L.astype(np.float64))
    return np.asarray(np.divide(1.0, np.sqrt(var_L, dtype=np.float64), out=np.zeros(len(var_L)), where=varies_L))


def _masked(values_BK: torch.Tensor, error_BK: torch.Tensor) -> torch.Tensor:
    return torch.where(error_BK > 0, values_BK, 0.0)


_KINDS: dict[str, Callable[[InputTransform, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "standardize": InputTransform._standardize,
    "whiten": InputTransform._whiten,
    "raw_whiten": InputTransform._raw_whiten,
    "flux_error": InputTransform._standardize,
    "flux_inverse_error": InputTransform._standardize,
}
