"""Nine Ridge experts, each for one T_eff x [M/H] bin, with the true bin of every spectrum told to it.

An oracle: no observer knows the bin. It shows what a perfect gate would be worth to linear models, and so whether
mixtures are worth trying. A bin with few training spectra has no expert of its own: Ridge on all spectra serves it. A
bin with few val spectra cannot choose its penalty: its expert takes the penalty per spectrum of that common Ridge.
Every Ridge here is fitted to infinitely many noisy copies of its spectra (see `ridge_baseline`): a ninth of them is
too few for one copy.
Memory: one set of sums a bin, 1.2 GB at 4096 pixels, whatever the number of spectra.
Shape suffixes as in `ridge_baseline`.
"""

from dataclasses import dataclass, replace

import numpy as np

from spectral_search.models.ridge_regression import RidgeAccumulator
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem
from spectral_search.tasks.spectra.baselines.ridge_baseline import Choice, Features, choose, features_of
from spectral_search.tasks.spectra.training.dataset import Frozen

_MIN_TRAIN = 100
_MIN_VAL = 50
_UNKNOWN = -1


@dataclass(frozen=True)
class Experts:
    """The solution that serves each bin, and which bins share the common one."""

    by_bin: dict[int, Choice]
    common: Choice
    without_own: tuple[int, ...]


def fit_predict(problem: Problem) -> Outcome:
    """One Ridge a bin; spectra whose bin is unknown are left out of training and served by the common Ridge."""
    features = features_of(problem)
    experts = _experts(_sums(problem, features), features, problem.val)
    parts = []
    for frozen in problem.evaluation():
        predicted_DN = np.empty(frozen.noisy_DNL.shape[:2])
        for number in np.unique(frozen.bin_N):
            rows = np.flatnonzero(frozen.bin_N == number)
            expert = experts.by_bin.get(int(number), experts.common)
            predicted_DN[:, rows] = features.predict(_rows(frozen, rows), expert.solution)
        parts.append(predicted_DN)
    return Outcome(
        np.concatenate(parts, axis=1),
        facts={"alpha": {str(number): expert.alpha for number, expert in sorted(experts.by_bin.items())}},
        warnings=_warnings(experts),
    )


def _sums(problem: Problem, features: Features) -> dict[int, RidgeAccumulator]:
    present = np.unique(problem.train.bin_N)
    sums = {int(number): features.accumulator() for number in present if number != _UNKNOWN}
    for block in problem.train_blocks("oracle mixture: training spectra"):
        for number, own in sums.items():
            rows = np.flatnonzero(block.bin_N == number)
            if len(rows):
                chosen = replace(
                    block,
                    flux_NL=block.flux_NL[rows],
                    error_NL=block.error_NL[rows],
                    log_g_N=block.log_g_N[rows],
                    bin_N=block.bin_N[rows],
                )
                features.add_expected(own, chosen)
    return sums


def _experts(sums: dict[int, RidgeAccumulator], features: Features, val: Frozen) -> Experts:
    together = features.accumulator()
    for own in sums.values():
        together.add(own)
    common = choose(together, features, val)
    by_bin, without_own = {}, []
    for number, own in sums.items():
        rows = np.flatnonzero(val.bin_N == number)
        if own.count < _MIN_TRAIN:
            without_own.append(number)
        elif len(rows) < _MIN_VAL:
            # Too few val spectra to choose on: it takes the common penalty, for each spectrum.
            by_bin[number] = choose(own, features, val, [common.alpha / together.count])
        else:
            by_bin[number] = choose(own, features, _rows(val, rows))
    return Experts(by_bin, common, tuple(without_own))


def _rows(frozen: Frozen, rows: np.ndarray) -> Frozen:
    return Frozen(frozen.noisy_DNL[:, rows], frozen.error_NL[rows], frozen.log_g_N[rows], frozen.bin_N[rows])


def _warnings(experts: Experts) -> tuple[str, ...]:
    if not experts.without_own:
        return ()
    text = (
        f"{len(experts.without_own)} of the oracle mixture's bins hold fewer than {_MIN_TRAIN} training spectra and "
        "are served by the Ridge on all spectra: more spectra would give them experts of their own."
    )
    return (text,)
