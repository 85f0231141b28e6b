"""The problem in the subspace of the signal: Ridge, LightGBM and the oracle mixture on a spectrum's K components.

A training block then holds means of components in place of fluxes, and what the factor of the noise's covariance is
mixed of in place of errors. Noise is drawn with that covariance, once for each spectrum; for what is fitted to all
draws its sum over spectra is exact:

    sum_i C_i = sum_rs (sum_i mix_ir mix_is) F_r F_s^T

Shape suffixes: D draws, B spectra of a block, K components, R shared matrices.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch

from spectral_search.tasks.spectra.baselines.problem import Baseline, Outcome, Problem
from spectral_search.tasks.spectra.baselines.signal_space import Signal
from spectral_search.tasks.spectra.noise.noise_model import normal_deviates
from spectral_search.tasks.spectra.shards.blocks import RowRange
from spectral_search.tasks.spectra.signal.compress import project
from spectral_search.tasks.spectra.training.dataset import Frozen, Labelled

_ROWS = 8192


@dataclass(frozen=True, kw_only=True)
class SignalProblem(Problem):
    """A problem whose spectra are components.

    Attributes:
        components: The training spectra.
    """

    components: Signal

    @property
    def scale_K(self) -> np.ndarray:
        """1 / standard deviation of noisy components, as the input `signal` is scaled."""
        square_K = np.square(self.components.prep.strength_K.astype(np.float64)) + self.noise_level**2
        return np.asarray(1.0 / np.sqrt(square_K))

    def train_blocks(self, title: str | None = None, ranges: Sequence[RowRange] | None = None) -> Iterator[Labelled]:
        """Training spectra: means of components, and mixtures of their covariances."""
        train = self.components.train
        for start in range(0, len(train), _ROWS):
            rows = slice(start, start + _ROWS)
            yield Labelled(train.mean_NK[rows], train.mix_NR[rows], train.log_g_N[rows], train.bin_N[rows])

    def noisy(self, spectra: Labelled, first: int) -> np.ndarray:
        """Components with noise that is drawn once for each spectrum, float32 (B, K)."""
        counter = (self.seed, "baselines", "components")
        deviate_BK = normal_deviates(torch.Size(spectra.flux_NL.shape), torch.device("cpu"), counter, first).numpy()
        drawn_BK = spectra.flux_NL.copy()
        for place, factor_KK in enumerate(self.components.train.factors_RKK):
            drawn_BK += (spectra.error_NL[:, place, None] * deviate_BK) @ factor_KK.T
        return drawn_BK

    def noise_covariance(self, spectra: Labelled) -> np.ndarray:
        """Sum of the covariances of the noise of all spectra, float64 (K, K)."""
        factors_RKK = self.components.train.factors_RKK.astype(np.float64)
        mix_BR = spectra.error_NL.astype(np.float64)
        # The sum of F F^T with F = sum_r m_r F_r: over the spectra, products of mixtures alone are summed.
        return np.asarray(np.einsum("rs,rik,sjk->ij", mix_BR.T @ mix_BR, factors_RKK, factors_RKK, optimize=True))

    def evaluation(self) -> Iterator[Frozen]:
        """The spectra that the numbers are of, projected."""
        if self.test is None:
            yield self.val
            return
        yield from (_projected(frozen, self.components) for frozen in super().evaluation())


def on_signal(fit_predict: Baseline) -> Baseline:
    """The same baseline on components.

    Raises (when it is called):
        RequestError: The training flux holds noise of its own, so its signal has no subspace.
    """

    def fitted(problem: Problem) -> Outcome:
        signal = problem.signal
        values = {field.name: getattr(problem, field.name) for field in fields(Problem)}
        return fit_predict(SignalProblem(**{**values, "val": _projected(problem.val, signal)}, components=signal))

    return fitted


def _projected(frozen: Frozen, signal: Signal) -> Frozen:
    nothing_NL = np.empty((len(frozen.log_g_N), 0), np.float32)
    component_DNK = project(frozen.noisy_DNL, signal.prep)
    return Frozen(component_DNK, nothing_NL, frozen.log_g_N, frozen.bin_N, in_components=True)
