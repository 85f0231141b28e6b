"""From a noisy spectrum to what the network sees, by the name in `data.input.kind`.

Invalid values (error 0) and masked pixels give an input of exactly 0, in train, val and test alike; to a spectrum's
components they add exactly 0.
Shape suffixes: B spectra, C channels, L pixels of a spectrum, K pixels kept (all, unless `top_pixels` is set), S
components in the subspace of the signal.
"""

from collections.abc import Callable

import numpy as np
import torch

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.section import SUBSPACE_INPUTS, InputSpec
from spectral_search.tasks.spectra.training.preprocessing import QUANTILES, Preprocessing

_SMALLEST = float(torch.finfo(torch.float32).tiny)
"""Stands for the error of an invalid value, whose centred flux is 0: 0 / _SMALLEST = 0 without a mask."""
_RESOLUTION = 1e-6
"""Standard deviation / mean below which a float32 value is taken for constant."""


class InputTransform:
    """Callable (noisy_BL, error_BL) -> x_BCK on one device; `of_components` starts from a spectrum's components.

    Args:
        spec: The `data.input` section.
        prep: Statistics of the training set.
        noise_level: Factor on the error in the noise model; the statistics of the noisy flux follow from it.
        device: Where the spectra are.

    Raises:
        RequestError: `top_pixels` without a pixel ranking, or components without a subspace.
    """

    def __init__(
        self, spec: InputSpec, prep: Preprocessing, noise_level: float, device: torch.device | str = "cpu"
    ) -> None:
        self.channels = spec.channels
        self.pixels = input_pixels(spec, prep)
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
        self._floor = max(_SMALLEST, _error_quantile(spec.error_floor, prep))
        self._subspace = SubspaceTransform(spec, prep, noise_level, device) if spec.kind in SUBSPACE_INPUTS else None

    def __call__(self, noisy_BL: torch.Tensor, error_BL: torch.Tensor) -> torch.Tensor:
        """Map flux and 1-sigma error, both conditioned and of shape (B, L), to the input (B, C, K), float32."""
        if self._subspace is not None:
            return self.of_components(self._subspace.components(noisy_BL))
        noisy_BK, error_BK = noisy_BL, error_BL
        if self._kept_K is not None:
            noisy_BK, error_BK = (values_BL.index_select(1, self._kept_K) for values_BL in (noisy_BL, error_BL))
        x_BK = self._bounded(_KINDS[self._spec.kind](self, noisy_BK, error_BK))
        if self._spec.kind == "flux_error":
            return torch.stack([x_BK, self._error_channel(error_BK)], 1)
        if self._spec.kind == "flux_inverse_error":
            return torch.stack([x_BK, self._inverse_error_channel(error_BK)], 1)
        return x_BK.unsqueeze(1)

    def of_components(self, component_BS: torch.Tensor) -> torch.Tensor:
        """Map noisy components in units of the noise, strongest first, at least as many as are used, to the input."""
        if self._subspace is None:
            raise ValueError(f"the input {self._spec.kind} is not made of components")
        return self._bounded(self._subspace(component_BS)).unsqueeze(1)

    def _bounded(self, x_BK: torch.Tensor) -> torch.Tensor:
        """Squashed and clamped as the spec says, in place."""
        if self._spec.squash == "asinh":
            x_BK.asinh_()
        elif self._spec.squash == "log1p":
            # The signs are a new tensor, taken before abs_() overwrites them.
            x_BK = x_BK.sign().mul_(x_BK.abs_().log1p_())
        if self._spec.clamp is not None:
            x_BK.clamp_(-self._spec.clamp, self._spec.clamp)
        return x_BK

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
        inverse_BK = error_BK.clamp(min=_SMALLEST).reciprocal_()
        return _masked(inverse_BK.sub_(self._inverse_mean_K).mul_(self._inverse_inverse_std_K), error_BK)


class SubspaceTransform:
    """From components in the subspace of the signal to `signal` or `denoised`.

    With S the standard deviation of the signal along a direction in units of the noise, and v that of the noise (the
    noise level), `signal` is divided by sqrt(S^2 + v^2), its own standard deviation. `denoised` is `signal` times
    S^2 / (S^2 + v^2), as Wiener's filter weighs components, put back into pixels and divided by the standard deviation
    that all pixels together then have. A filtered spectrum that kept each direction's own size would be all brightness,
    whose variance is thousands of times that of the lines: CNNs learnt from it less than half as fast.

    Args:
        spec: The `data.input` section.
        prep: Statistics of the training set, with the subspace.
        noise_level: Factor on the error.
        device: Where the spectra are.

    Raises:
        RequestError: The statistics hold no subspace, or fewer components than are asked for.
    """

    def __init__(
        self, spec: InputSpec, prep: Preprocessing, noise_level: float, device: torch.device | str = "cpu"
    ) -> None:
        there = len(prep.strength_K)
        count = there if spec.components == "auto" else min(spec.components, prep.pixels)
        if not 0 < count <= there:
            raise RequestError(
                f"The input {spec.kind} needs {max(1, count)} components of the signal, and this preprocessing holds "
                f"{there}: set data.input.components to at most {there}, or search anew."
            )
        self._count = count
        directions_LS = torch.as_tensor(prep.directions_LK[:, :count], dtype=torch.float32, device=device)
        centre_L, inverse_noise_L = (
            torch.as_tensor(values_L, dtype=torch.float32, device=device)
            for values_L in (prep.centre_L, prep.inverse_noise_L)
        )
        self._centre_L, self._weight_LS = centre_L, directions_LS * inverse_noise_L.unsqueeze(1)
        variance_S = np.square(prep.strength_K[:count].astype(np.float64))
        # Without noise the weakest directions would be divided by almost nothing.
        total_S = variance_S + max(noise_level, 1e-3) ** 2
        self._scale_S = torch.as_tensor(1.0 / np.sqrt(total_S), dtype=torch.float32, device=device)
        self._back_SL: torch.Tensor | None = None
        if spec.kind == "denoised":
            filter_S = variance_S / total_S
            # Of components of variance 1, times the filter and put back by orthonormal directions.
            spread = np.sqrt((filter_S**2).sum() / max(1, int(prep.valid_L.sum())))
            scale_S = filter_S / np.sqrt(total_S) / max(spread, 1e-30)
            scale_S1 = torch.as_tensor(scale_S, dtype=torch.float32, device=device).unsqueeze(1)
            self._back_SL = (directions_LS.T * scale_S1).contiguous()

    def components(self, noisy_BL: torch.Tensor) -> torch.Tensor:
        """Components of conditioned spectra in units of the noise, (B, S). Invalid values hold the centre, so add 0."""
        return (noisy_BL - self._centre_L) @ self._weight_LS

    def __call__(self, component_BS: torch.Tensor) -> torch.Tensor:
        """The input of these components: a new tensor of shape (B, S), or (B, L) where they are put back."""
        used_BS = component_BS[:, : self._count]
        return used_BS * self._scale_S if self._back_SL is None else used_BS @ self._back_SL


def input_pixels(spec: InputSpec, prep: Preprocessing) -> int:
    """Values a channel of the network's input; all components that there are where the spec leaves that open."""
    if spec.kind == "signal" and spec.components == "auto":
        return len(prep.strength_K)
    return spec.length(prep.pixels)


def _kept_pixels(prep: Preprocessing, count: int) -> np.ndarray:
    """The most important pixels, in the order of their wavelength."""
    if len(prep.pixel_rank_L) == 0:
        raise RequestError("data.input.top_pixels needs a pixel ranking, and this preprocessing holds none.")
    return np.sort(prep.pixel_rank_L[:count])


def _error_quantile(fraction: float, prep: Preprocessing) -> float:
    return float(np.interp(fraction, QUANTILES, prep.error_quantiles_Q)) if fraction else 0.0


def _inverse_std(var_L: np.ndarray, mean_L: np.ndarray) -> np.ndarray:
    """1 / sqrt(var), and 0 where nothing varies beyond the last digits of float32, as at masked pixels."""
    varies_L = var_L > np.square(_RESOLUTION * mean_L.astype(np.float64))
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
