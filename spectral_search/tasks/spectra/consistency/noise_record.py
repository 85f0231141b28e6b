"""How much noise the recorded noisy spectra of a shard hold, in units of its error array.

noisy = max(flux + level * error * N(0, 1), 0): what lies above the flux is never cut off at 0, so that half of the
normal distribution is there whole, however faint the star. The median of its deviates is 0.6745 times the level, and
half of all values lie there unless something else than noise was added.
Shape suffixes: K spectra, L pixels, M values.
"""

from dataclasses import dataclass

import numpy as np

_HALF_NORMAL_MEDIAN = 0.67449
_LEVEL_ERROR = 1.17
"""Standard error of the level: so many times level / sqrt(M), M values above the flux. 1 / (2 f(m) m), half normal."""
_NOTHING = 1e-3
"""A difference from the flux of so many errors is none."""
_WHOLLY = 0.99
"""Part of the values of a spectrum that say what it is."""


@dataclass(frozen=True)
class NoiseRecord:
    """The recorded noise of some spectra.

    Attributes:
        spectra: How many were looked at.
        noise_free: How many of them are the flux itself.
        empty: How many of them are 0 where the flux is not.
        level: Noise of the others in units of the error; None where no value lies above the flux.
        above: Part of the others' values that lies above the flux; half of those that lie on it, as whole numbers may.
        values: How many values do.
    """

    spectra: int
    noise_free: int
    empty: int
    level: float | None
    above: float
    values: int

    @property
    def level_error(self) -> float:
        """Standard error of the level, as a part of it."""
        return _LEVEL_ERROR / max(1, self.values) ** 0.5


def measure_noise(flux_KL: np.ndarray, error_KL: np.ndarray, noisy_KL: np.ndarray, valid_KL: np.ndarray) -> NoiseRecord:
    """Measures recorded noise on the valid values of some spectra."""
    valid_KL = valid_KL & np.isfinite(noisy_KL)
    seen_K = (valid_KL & (flux_KL != 0)).any(1)
    error_KL = np.where(valid_KL, error_KL, 1.0)
    deviate_KL = np.where(valid_KL, np.maximum(noisy_KL, 0.0) - flux_KL, 0.0) / error_KL
    same_K = seen_K & _wholly(np.abs(deviate_KL) < _NOTHING, valid_KL)
    empty_K = seen_K & ~same_K & _wholly(noisy_KL == 0, valid_KL)
    deviate_M = deviate_KL[valid_KL & (seen_K & ~(same_K | empty_K))[:, None]]
    above_M = deviate_M[deviate_M > 0]
    return NoiseRecord(
        spectra=int(seen_K.sum()),
        noise_free=int(same_K.sum()),
        empty=int(empty_K.sum()),
        level=float(np.median(above_M)) / _HALF_NORMAL_MEDIAN if len(above_M) else None,
        above=(len(above_M) + 0.5 * float((deviate_M == 0).sum())) / max(1, len(deviate_M)),
        values=len(above_M),
    )


def _wholly(true_KL: np.ndarray, valid_KL: np.ndarray) -> np.ndarray:
    """Whether something holds for all but a few of the valid values of each spectrum."""
    holds: np.ndarray = (true_KL & valid_KL).sum(1) >= _WHOLLY * valid_KL.sum(1)
    return holds
