"""From a noisy spectrum to what the network sees, by the name in `data.input.kind`.

Invalid values (error 0) and masked pixels always give an input of exactly 0, in train, val and test alike.
Shape suffixes: B spectra, C channels, L pixels, K kept pixels.
"""

from collections.abc import Callable

import numpy as np
import torch

from spectral_search.data.preprocess import QUANTILES, Preprocessing
from spectral_search.errors import RequestError
from spectral_search.spec.data import InputSpec

Values = torch.Tensor


class InputTransform:
    """Callable (noisy_BL, error_BL) -> x_BCL on one device.

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
        valid_L = torch.as_tensor(prep.valid_L, device=device)

        def tensor(values_L: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(values_L, dtype=torch.float32, device=device)

        def inverse_std(var_L: torch.Tensor) -> torch.Tensor:
            return torch.where(valid_L & (var_L > 0), var_L.clamp(min=1e-30).rsqrt(), 0.0)

        self._mean_L = tensor(prep.mean_L)
        self._valid_L = valid_L.float()
        self._inverse_std_L = inverse_std(tensor(prep.flux_var_L) + noise_level**2 * tensor(prep.error_sq_mean_L))
        self._error_mean_L = tensor(prep.error_mean_L)
        self._error_scale_L = inverse_std(tensor(prep.error_sq_mean_L) - tensor(prep.error_mean_L) ** 2)
        self._inverse_mean_L = tensor(prep.inverse_error_mean_L)
        self._inverse_scale_L = inverse_std(
            tensor(prep.inverse_error_sq_mean_L) - tensor(prep.inverse_error_mean_L) ** 2
        )
        self._floor = float(np.interp(spec.error_floor, QUANTILES, prep.error_quantiles_Q)) if spec.error_floor else 0.0
        self._columns_K = None if spec.top_pixels is None else self._kept_pixels(prep, device)

    def _kept_pixels(self, prep: Preprocessing, device: torch.device | str) -> torch.Tensor:
        if len(prep.pixel_rank_L) == 0:
            raise RequestError("data.input.top_pixels needs a pixel ranking, and this preprocessing holds none.")
        return torch.as_tensor(np.sort(prep.pixel_rank_L[: self.pixels]), device=device)

    def __call__(self, noisy_BL: Values, error_BL: Values) -> torch.Tensor:
        x_BL = _KINDS[self._spec.kind](self, noisy_BL, error_BL)
        if self._spec.squash == "asinh":
            x_BL = x_BL.asinh_()
        elif self._spec.squash == "log1p":
            x_BL = x_BL.sign() * x_BL.abs().log1p()
        if self._spec.clamp is not None:
            x_BL = x_BL.clamp_(-self._spec.clamp, self._spec.clamp)
        channels = [x_BL]
        if self._spec.kind == "flux_error":
            channels.append(_masked((error_BL - self._error_mean_L) * self._error_scale_L, error_BL))
        elif self._spec.kind == "flux_inverse_error":
            inverse_BL = _masked(1.0 / error_BL, error_BL)
            channels.append(_masked((inverse_BL - self._inverse_mean_L) * self._inverse_scale_L, error_BL))
        if self._columns_K is not None:
            channels = [c.index_select(1, self._columns_K) for c in channels]
        return torch.stack(channels, 1) if len(channels) > 1 else channels[0].unsqueeze(1)

    def _standardize(self, noisy_BL: Values, error_BL: Values) -> torch.Tensor:
        # Invalid values were filled with the mean when the spectra were loaded, so they come out as exactly 0.
        return (noisy_BL - self._mean_L).mul_(self._inverse_std_L)

    def _whiten(self, noisy_BL: Values, error_BL: Values) -> torch.Tensor:
        return self._over_error((noisy_BL - self._mean_L).mul_(self._valid_L), error_BL)

    def _raw_whiten(self, noisy_BL: Values, error_BL: Values) -> torch.Tensor:
        return self._over_error(noisy_BL * self._valid_L, error_BL)

    def _over_error(self, values_BL: Values, error_BL: Values) -> torch.Tensor:
        floored_BL = error_BL.clamp(min=self._floor) if self._floor else error_BL
        return _masked(values_BL / floored_BL, error_BL)


def _masked(values_BL: Values, error_BL: Values) -> torch.Tensor:
    return torch.where(error_BL > 0, values_BL, 0.0)


_KINDS: dict[str, Callable[[InputTransform, Values, Values], torch.Tensor]] = {
    "standardize": InputTransform._standardize,
    "whiten": InputTransform._whiten,
    "raw_whiten": InputTransform._raw_whiten,
    "flux_error": InputTransform._standardize,
    "flux_inverse_error": InputTransform._standardize,
}
