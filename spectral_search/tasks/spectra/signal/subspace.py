"""The subspace of the signal: the few directions in which noise-free spectra differ by more than their noise.

With s_noise = sqrt(mean(error^2)) per pixel, z = (flux - mean) / s_noise is the signal in units of the noise, and the
right singular vectors of z over noise-free training spectra are its principal directions (docs/signal.md). What lies
beyond the first few dozen is, for a network, noise alone.
Shape suffixes: N spectra, L pixels, K components, Q candidates for components.
"""

from dataclasses import dataclass

import numpy as np

_CANDIDATES = 128
"""Directions that are looked at: more than any data met so far needs."""
REMAINDER = 0.004
"""Variance of the signal, in units of the noise of one direction, that `auto` may leave outside the subspace."""
STEP = 16
"""K is a multiple of it: products of other shapes are no cheaper."""
_NOISY_LEVEL = 0.3
"""Where the median candidate is as strong as this, in units of the noise, the training flux is noise itself."""
_FEWEST_JUDGED = 64
"""Spectra: of fewer, half of the directions may well all be signal."""
_SPARE = 16
_POWERS = 1
_GRAM_ROWS = 1024


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
    """All candidate directions of whitened spectra: the range of a random sketch, sharpened by a power step.

    Halko, Martinsson and Tropp (SIAM Review 53, 217, 2011), algorithms 4.4 and 5.1, orthonormalised by Cholesky factors
    of small Gram matrices: all that is large are products. With QR and singular values of the large factors, as
    libraries have it, it took several times as long.

    Args:
        z_NL: Whitened noise-free spectra, float32.
        seed: Of the random start; the directions found do not depend on it beyond their last digits.
    """
    most = min(_CANDIDATES, *z_NL.shape)
    columns = min(most + _SPARE, *z_NL.shape)
    random_LM = np.random.default_rng(seed % 2**63).standard_normal((z_NL.shape[1], columns), dtype=np.float32)
    basis_NM = _orthonormal(z_NL @ random_LM)
    for _ in range(_POWERS):
        basis_NM = _orthonormal(z_NL @ _orthonormal(z_NL.T @ basis_NM))
    sketch_ML = basis_NM.T @ z_NL
    # Squares of singular values: squaring costs half of the digits, for which `_gram` sums in float64.
    square_M, turn_MM = np.linalg.eigh(_gram(sketch_ML.T))
    strongest = np.argsort(-square_M)[:most]
    # Rounding may leave the weakest a little below 0.
    variance_Q = np.maximum(square_M[strongest], 0.0) / len(z_NL)
    directions_LQ = _orthonormal(sketch_ML.T @ turn_MM[:, strongest].astype(np.float32))
    return Subspace(directions_LQ, np.sqrt(variance_Q).astype(np.float32), variance_Q)


def _orthonormal(columns_AM: np.ndarray) -> np.ndarray:
    """An orthonormal basis of the span of the columns, float32; where they nearly depend on each other, of some."""
    # Columns that came from the same strongest direction differ by its last digits: scaled alike, then raised a little.
    scale_M = np.maximum(np.linalg.norm(columns_AM, axis=0), np.finfo(np.float32).tiny)
    columns_AM = columns_AM / scale_M
    for _ in range(2):  # the second time makes up for what the first one's conditioning lost
        gram_MM = _gram(columns_AM)
        gram_MM += 1e-12 * np.trace(gram_MM) * np.eye(len(gram_MM))
        columns_AM = columns_AM @ np.linalg.inv(np.linalg.cholesky(gram_MM)).T.astype(np.float32)
    return columns_AM


def _gram(columns_AM: np.ndarray) -> np.ndarray:
    """Products of the columns with each other, summed in float64."""
    total_MM = np.zeros((columns_AM.shape[1],) * 2)
    for start in range(0, len(columns_AM), _GRAM_ROWS):
        part = columns_AM[start : start + _GRAM_ROWS].astype(np.float64)
        total_MM += part.T @ part
    return total_MM


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
    return bool(spectra >= _FEWEST_JUDGED and variance_Q[len(variance_Q) // 2] > _NOISY_LEVEL)


def outside_steps(z_NL: np.ndarray, directions_LQ: np.ndarray) -> np.ndarray:
    """Mean variance of whitened spectra outside the first 16, 32, ... directions and outside all, float64.

    In units of the noise of one direction.

    Args:
        z_NL: Whitened noise-free spectra; overwritten.
        directions_LQ: Orthonormal columns.
    """
    found = []
    for start in range(0, directions_LQ.shape[1], STEP):
        step_LK = directions_LQ[:, start : start + STEP]
        # What remains may be a millionth of the whole: as a difference of two sums of squares it would be mere
        # rounding.
        z_NL -= (z_NL @ step_LK) @ step_LK.T
        found.append(float(np.einsum("nl,nl->", z_NL, z_NL, dtype=np.float64) / max(1, len(z_NL))))
    return np.array(found)
