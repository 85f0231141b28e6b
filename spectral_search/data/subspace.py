"""The subspace of the signal: the few directions in which noise-free spectra differ by more than their noise.

With s_noise = sqrt(mean(error^2)) per pixel, z = (flux - mean) / s_noise is the signal in units of the noise, and the
right singular vectors of z over noise-free training spectra are its principal directions (docs/signal.md). What lies
beyond the first few dozen is, for a network, noise alone.
Shape suffixes: N spectra, L pixels, K components, Q candidates for components.
"""

from dataclasses import dataclass

import numpy as np

CANDIDATES = 128
"""Directions that are looked at: more than any data met so far needs."""
REMAINDER = 0.004
"""Variance of the signal, in units of the noise of one direction, that `auto` may leave outside the subspace."""
STEP = 16
"""K is a multiple of it: products of other shapes are no cheaper."""
NOISY_LEVEL = 0.3
"""Where the median candidate is as strong as this, in units of the noise, the training flux is noise itself."""
FEWEST_JUDGED = 64
"""Spectra: of fewer, half of the directions may well all be signal."""
_SPARE = 16
_POWERS = 1


@dataclass(frozen=True)
class Subspace:
    """Principal directions of the noise-free training spectra in units of their noise.

    Attributes:
        directions_LK: Orthonormal columns, float32; 0 at masked pixels.
        strength_K: Standard deviation of the signal along each, in units of the noise at level 1, falling.
        variance_Q: Variance along all directions that were looked at, in the same units.
    """

    directions_LK: np.ndarray
    strength_K: np.ndarray
    variance_Q: np.ndarray

    @property
    def components(self) -> int:
        """K."""
        return len(self.strength_K)

    def take(self, components: int) -> "Subspace":
        """The strongest of its directions."""
        return Subspace(self.directions_LK[:, :components], self.strength_K[:components], self.variance_Q)


def whitened(flux_NL: np.ndarray, mean_L: np.ndarray, inverse_noise_L: np.ndarray) -> np.ndarray:
    """(flux - mean) / s_noise, float32, a new array; masked pixels, whose inverse noise is 0, are 0."""
    z_NL = np.subtract(flux_NL, mean_L, dtype=np.float32)
    z_NL *= inverse_noise_L.astype(np.float32)
    return z_NL


def find_directions(z_NL: np.ndarray, seed: int) -> Subspace:
    """All candidate directions of whitened spectra, by a randomised singular value decomposition.

    Halko, Martinsson and Tropp (SIAM Review 53, 217, 2011), with scikit-learn's implementation.

    Args:
        z_NL: Whitened noise-free spectra, float32.
        seed: Of the random start; the directions found do not depend on it beyond their last digits.
    """
    from sklearn.utils.extmath import randomized_svd  # half a second that other inputs do not pay

    most = min(CANDIDATES, *z_NL.shape)
    _, singular_Q, directions_QL = randomized_svd(
        z_NL, most, n_oversamples=_SPARE, n_iter=_POWERS, power_iteration_normalizer="QR", random_state=seed % 2**32
    )
    variance_Q = np.square(singular_Q.astype(np.float64)) / len(z_NL)
    directions_LQ = np.ascontiguousarray(directions_QL.T, dtype=np.float32)
    return Subspace(directions_LQ, np.sqrt(variance_Q).astype(np.float32), variance_Q)


def enough_components(variance_Q: np.ndarray, noise_level: float) -> int:
    """K by rule: the fewest directions, in steps of 16, beyond which the signal's variances sum to less than 0.4%.

    That is of the noise's variance along one direction: an optimal filter that knew all directions left out could not
    raise the squared signal-to-noise ratio by more.

    Args:
        variance_Q: Falling variances of the signal in units of the noise at level 1.
        noise_level: Factor on the error.
    """
    # Almost without noise everything is signal; a hundredth of the noise keeps what rounding has not made.
    allowed = REMAINDER * max(noise_level, 0.01) ** 2
    beyond_Q = np.cumsum(variance_Q[::-1])[::-1]
    needed = int(np.count_nonzero(beyond_Q > allowed))
    return max(1, min(-(-max(needed, 1) // STEP) * STEP, len(variance_Q)))


def is_noisy(variance_Q: np.ndarray, spectra: int) -> bool:
    """Whether the spectra hold noise: their median direction then has a variance like that of the noise, or more.

    Of N spectra of pure noise with L pixels the variances lie between (1 -+ sqrt(L / N))^2 (Marchenko and Pastur 1967),
    while those of noise-free spectra fall below 1% of the noise within a few dozen.
    """
    return bool(spectra >= FEWEST_JUDGED and variance_Q[len(variance_Q) // 2] > NOISY_LEVEL)


def outside(z_NL: np.ndarray, directions_LK: np.ndarray) -> float:
    """Mean variance of whitened noise-free spectra outside the subspace, in units of the noise of one direction."""
    residual_NL = z_NL - (z_NL @ directions_LK) @ directions_LK.T
    return float(np.einsum("nl,nl->", residual_NL, residual_NL, dtype=np.float64) / max(1, len(z_NL)))
