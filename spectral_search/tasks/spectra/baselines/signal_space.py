"""Training and evaluation spectra as their components in the subspace of the signal, for baselines.

The subspace is that of the networks' input `signal` (docs/signal.md): a spectrum is K numbers, Gaussian with a mean and
a covariance that are known for each noise-free training spectrum. Of an evaluation spectrum the noise is read off the
flux as well: what lies outside the subspace is noise alone, thousands of pixels of it, and so shows its level to 1%.
Shape suffixes: N training spectra, T evaluation spectra, D draws, B spectra of a block, L pixels, K components.
"""

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.array_cache import ArrayCache
from spectral_search.tasks.spectra.baselines.problem import Problem
from spectral_search.tasks.spectra.noise.clipped_moments import fill_moments
from spectral_search.tasks.spectra.shards.unread_blocks import iter_unread
from spectral_search.tasks.spectra.signal.components import Components
from spectral_search.tasks.spectra.signal.compress import project
from spectral_search.tasks.spectra.signal.kept_components import kept_components
from spectral_search.tasks.spectra.signal.subspace import enough_components, find_directions, is_noisy, whitened
from spectral_search.tasks.spectra.training.dataset import Frozen, Labelled
from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

_SAMPLED_SPECTRA = 8192
"""Training spectra that the directions are taken from."""
_NEAREST = 64
"""Training spectra of like noise whose mean covariance is taken."""
_NOISE_SPECTRA = 1024
"""Training spectra that tell what the power outside the subspace says of the noise."""


@dataclass(frozen=True)
class Signal:
    """Training spectra in the subspace, and how evaluation spectra get there.

    Attributes:
        prep: Units and valid pixels of the problem, with directions.
        train: Means and covariances of the training spectra.
        log_noise_N: log of the mean variance of their components.
        noise_law: Coefficients of the log of that mean variance in powers of the log power outside, highest first.
    """

    prep: Preprocessing
    train: Components
    log_noise_N: np.ndarray
    noise_law: np.ndarray

    @cached_property
    def _by_noise_N(self) -> np.ndarray:
        """Training spectra, quiet ones first."""
        return np.argsort(self.log_noise_N, kind="stable")

    def covariance(self, rows_B: np.ndarray) -> np.ndarray:
        """Covariances of training spectra, float64 (B, K, K)."""
        factors_RKK, mix_BR = self.train.factors_RKK, self.train.mix_NR[rows_B]
        factor_BKK = np.einsum("br,rij->bij", mix_BR, factors_RKK, optimize=True).astype(np.float64)
        return np.asarray(factor_BKK @ factor_BKK.transpose(0, 2, 1))

    def typical_covariance(self, log_noise: float) -> np.ndarray:
        """Mean covariance of the training spectra whose noise is nearest, brought to exactly this level, (K, K)."""
        place = int(np.searchsorted(self.log_noise_N, log_noise, sorter=self._by_noise_N))
        near_B = self._by_noise_N[max(0, place - _NEAREST) : place + _NEAREST]
        nearest_B = near_B[np.argsort(np.abs(self.log_noise_N[near_B] - log_noise))[:_NEAREST]]
        scale_B = np.exp(log_noise - self.log_noise_N[nearest_B])
        return np.asarray((self.covariance(nearest_B) * scale_B[:, None, None]).mean(0))


@dataclass(frozen=True)
class Observed:
    """Noisy spectra in the subspace.

    Attributes:
        component_TK: Their components, float32.
        log_noise_T: log of the mean variance of a component, as the flux outside the subspace shows it.
        invalid: Fraction of their values that are invalid where they are valid in others.
    """

    component_TK: np.ndarray
    log_noise_T: np.ndarray
    invalid: float


def find_signal(problem: Problem) -> Signal:
    """The subspace and the training spectra in it.

    Raises:
        RequestError: The training flux holds noise of its own, or there is no noise to measure the signal in.
    """
    prep = problem.prep if len(problem.prep.strength_K) else _with_directions(problem)
    selection, told = problem.train.selection, problem.told("training spectra to components")
    read = partial(iter_unread, selection, hashed=True)
    train = kept_components(selection, read, prep, problem.noise_level, ArrayCache.here(), told).components
    if not len(train.factors_RKK):
        raise RequestError("Without noise there is no level to measure the signal in: use --input pixels.")
    variance_NK = np.square(train.mix_NR.astype(np.float64)[:, :1])  # the first factor's scale is sqrt(trace / K)
    log_noise_N = np.log(np.maximum(variance_NK[:, 0], np.finfo(np.float32).tiny))
    return Signal(prep, train, log_noise_N, _noise_law(problem, prep))


def observe(problem: Problem, signal: Signal, most: int) -> Observed:
    """Components of the evaluation spectra, the first draw of each, at most so many."""
    components, powers, missing, held = [], [], 0, 0
    for frozen in problem.evaluation():
        part = _first(frozen, most - held)
        components.append(project(part.noisy_DNL, signal.prep)[0])
        powers.append(_power_outside(part.noisy_DNL[0], part.error_NL, components[-1], signal.prep))
        missing += int(((part.error_NL <= 0) & signal.prep.valid_L).sum())
        held += len(components[-1])
        if held >= most:
            break
    log_noise_T = np.polyval(signal.noise_law, np.log(np.concatenate(powers)))
    # No spectrum is known to be quieter or noisier than all training spectra: what looks so is the measurement's error.
    log_noise_T = np.clip(log_noise_T, signal.log_noise_N.min(), signal.log_noise_N.max())
    return Observed(np.concatenate(components), log_noise_T, missing / (held * int(signal.prep.valid_L.sum())))


def _first(frozen: Frozen, most: int) -> Frozen:
    rows = slice(0, most)
    return Frozen(frozen.noisy_DNL[:1, rows], frozen.error_NL[rows], frozen.log_g_N[rows], frozen.bin_N[rows])


def _with_directions(problem: Problem) -> Preprocessing:
    prep = problem.prep
    sample = _some_training_spectra(problem, _SAMPLED_SPECTRA)
    subspace = find_directions(whitened(sample.flux_NL, prep.centre_L, prep.inverse_noise_L), problem.seed)
    if is_noisy(subspace.variance_Q, len(sample)):
        raise RequestError(
            "The training flux holds noise of its own, so its signal has no subspace: use --input pixels."
        )
    kept = subspace.take(enough_components(subspace.variance_Q, problem.noise_level))
    return replace(prep, directions_LK=np.ascontiguousarray(kept.directions_LK), strength_K=kept.strength_K)


def _some_training_spectra(problem: Problem, count: int) -> Labelled:
    """About so many training spectra, conditioned, from blocks spread over all of them."""
    ranges = problem.train_ranges
    wanted = int(np.ceil(len(ranges) * min(1.0, count / len(problem.train))))
    spread = np.unique(np.linspace(0, len(ranges) - 1, wanted).round().astype(int))
    held = list(problem.train_blocks(ranges=[ranges[index] for index in spread]))
    names = ("flux_NL", "error_NL", "log_g_N", "bin_N")
    return Labelled(*(np.concatenate([getattr(block, name) for block in held]) for name in names))


def _noise_law(problem: Problem, prep: Preprocessing) -> np.ndarray:
    """How the noise of the components follows from the power outside, from expectations over training spectra."""
    sample = _some_training_spectra(problem, _NOISE_SPECTRA)
    flux_NL, error_NL = sample.flux_NL[:_NOISE_SPECTRA], sample.error_NL[:_NOISE_SPECTRA]
    mean_NL, variance_NL = np.empty_like(flux_NL), np.empty_like(flux_NL)
    centre_L, inverse_L = (np.ascontiguousarray(values, np.float32) for values in (prep.centre_L, prep.inverse_noise_L))
    fill_moments(flux_NL, error_NL, centre_L, inverse_L, problem.noise_level, mean_NL, variance_NL)
    # The trace of V^T diag(variance) V, without making the matrix.
    inside_N = variance_NL @ np.square(prep.directions_LK).sum(1)
    signal_N = np.square(mean_NL).sum(1) - np.square(mean_NL @ prep.directions_LK).sum(1)
    outside_N = (variance_NL.sum(1) - inside_N + signal_N) / _pixels_outside(error_NL, prep)
    log_outside_N, log_inside_N = np.log(outside_N), np.log(inside_N / prep.directions_LK.shape[1])
    # Where all spectra are equally noisy there is no slope to be found.
    degree = 2 if np.std(log_outside_N) > 1e-2 else 0
    law = np.polyfit(log_outside_N, log_inside_N - log_outside_N, degree)
    return np.polyadd(law, [1.0, 0.0])


def _power_outside(
    noisy_NL: np.ndarray, error_NL: np.ndarray, component_NK: np.ndarray, prep: Preprocessing
) -> np.ndarray:
    z_NL = whitened(noisy_NL, prep.centre_L, prep.inverse_noise_L)
    power_N = np.einsum("nl,nl->n", z_NL, z_NL) - np.square(component_NK).sum(1)
    return np.asarray(np.maximum(power_N, np.finfo(np.float32).tiny) / _pixels_outside(error_NL, prep))


def _pixels_outside(error_NL: np.ndarray, prep: Preprocessing) -> np.ndarray:
    """Valid values of each spectrum, less the components; at least 1."""
    return np.maximum((error_NL > 0).sum(1) - prep.directions_LK.shape[1], 1)
