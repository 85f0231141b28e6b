"""Which labels make the spectra, and how they are distributed in the training set: where templates are drawn from.

A training set lists N stars; that a posterior can be computed for any other, their labels must be drawn anew from the
same distribution. Each label's own distribution is its quantiles in the training set, edges included. What labels have
to do with each other beyond that is a density over their ranks u in [0, 1],

    r(u) = exp(sum_j a_j P_j(u)),    P_j products of Legendre polynomials of two labels or more,

fitted by telling the training set's labels from the same labels shuffled (logistic regression, whose odds are the
ratio of the two densities). Labels drawn independently of each other, as simulations draw them, have r = 1, and a fit
that does not gain on held-out spectra is left out.
Shape suffixes: N spectra, M templates, D labels, P polynomials.
"""

import itertools
from dataclasses import dataclass

import numpy as np

_DERIVED = frozenset({"id", "snr"})
"""Columns that follow from others, or name a spectrum."""
_FITTED = 8192
_DEGREE = 4
_MOST_POLYNOMIALS = 400
_NOISE_DEGREE = 2
_TABLE = 512
_QUANTILES = 1025
_GAIN = 2e-3
"""Nats a spectrum that a fit must gain on held-out spectra."""
_TIED_NATS = 1.5
"""Labels that tell so much of each other fill no volume: drawing them one by one would draw what is not there."""


@dataclass(frozen=True)
class LabelPrior:
    """Distribution of the labels that make the spectra.

    Attributes:
        names: The labels.
        quantile_QD: Each label's values in the training set at evenly spaced ranks, ascending, the extremes included.
        mean_D: Their means.
        exponents_PD: Degrees of the polynomials.
        weights_P: Their coefficients; empty where labels are independent.
        gain: Nats a spectrum that they gain on held-out spectra.
    """

    names: tuple[str, ...]
    quantile_QD: np.ndarray
    mean_D: np.ndarray
    exponents_PD: np.ndarray
    weights_P: np.ndarray
    gain: float

    @property
    def tied(self) -> bool:
        """Whether labels follow so closely from each other that they cannot be drawn."""
        return self.gain > _TIED_NATS

    def labels(self, rank_MD: np.ndarray) -> np.ndarray:
        """Labels of ranks in [0, 1], float64 (M, D)."""
        place_Q = np.linspace(0.0, 1.0, len(self.quantile_QD))
        columns = [np.interp(rank_MD[:, d], place_Q, self.quantile_QD[:, d]) for d in range(len(self.names))]
        return np.stack(columns, 1)

    def mean(self, name: str) -> float:
        """Mean of a label in the training set."""
        return float(self.mean_D[self.names.index(name)])

    def log_ratio(self, rank_MD: np.ndarray) -> np.ndarray:
        """log r of ranks, float64 (M,)."""
        if not len(self.weights_P):
            return np.zeros(len(rank_MD))
        return _polynomials(rank_MD, self.exponents_PD) @ self.weights_P


@dataclass(frozen=True)
class NoisePrior:
    """The level of the noise given the labels: a polynomial of their ranks, and how far levels lie from it.

    Attributes:
        weights_P: Of the polynomial.
        edges: Lowest and highest deviation of the table.
        table_Q: log density of deviations between them, evenly spaced.
    """

    weights_P: np.ndarray
    edges: tuple[float, float]
    table_Q: np.ndarray

    def expected(self, rank_MD: np.ndarray) -> np.ndarray:
        """Expected log of the noise at ranks of the labels, float64 (M,)."""
        return _design(2.0 * rank_MD - 1.0, _NOISE_DEGREE) @ self.weights_P

    def log_density(self, deviation_M: np.ndarray) -> np.ndarray:
        """log density of deviations from what is expected; a small one beyond all that was seen."""
        return np.asarray(np.interp(deviation_M, np.linspace(*self.edges, len(self.table_Q)), self.table_Q))


def fit_noise_prior(rank_ND: np.ndarray, log_noise_N: np.ndarray, spread: float) -> NoisePrior:
    """How the level of the noise is distributed in the training set.

    Args:
        rank_ND: Ranks of the labels.
        log_noise_N: log of the mean variance of a component.
        spread: Standard deviation with which a spectrum shows that log.
    """
    step = max(1, len(rank_ND) // (4 * _FITTED))
    design_NP = _design(2.0 * rank_ND[::step] - 1.0, _NOISE_DEGREE)
    weights_P, *_ = np.linalg.lstsq(design_NP, log_noise_N[::step], rcond=None)
    off_N = log_noise_N[::step] - design_NP @ weights_P
    # As wide as the measurement, and as a histogram of so few needs to be smooth.
    wide = max(spread, 0.5 * float(off_N.std()) * len(off_N) ** -0.2)
    low, high = float(off_N.min()) - 5.0 * wide, float(off_N.max()) + 5.0 * wide
    place_Q = np.linspace(low, high, _TABLE)
    width = place_Q[1] - place_Q[0]
    count_Q = np.histogram(off_N, _TABLE, (low - 0.5 * width, high + 0.5 * width))[0] / len(off_N)
    kernel_QQ = np.exp(-0.5 * np.square((place_Q[:, None] - place_Q) / wide)) / (wide * np.sqrt(2.0 * np.pi))
    density_Q = kernel_QQ @ count_Q
    # Nowhere 0, or a spectrum beyond all levels that were seen would be left without any template.
    return NoisePrior(weights_P, (low, high), np.log(np.maximum(density_Q, 1e-4 * density_Q.max())))


def ranks(label_ND: np.ndarray) -> np.ndarray:
    """Place of each value among those of its label, from 0 to 1."""
    return np.asarray(np.argsort(np.argsort(label_ND, axis=0), axis=0) / max(1, len(label_ND) - 1))


def varying(labels_ND: np.ndarray, names: tuple[str, ...]) -> list[int]:
    """Columns that are finite in all spectra, vary, and are no consequence of others."""
    return [
        column
        for column, name in enumerate(names)
        if name not in _DERIVED and np.isfinite(labels_ND[:, column]).all() and np.ptp(labels_ND[:, column]) > 0
    ]


def determining(labels_ND: np.ndarray, mean_NK: np.ndarray) -> list[int]:
    """Labels without which held-out spectra are predicted worse, by polynomials of the labels.

    One after the other the label that is missed least is left out. One that has no effect only adds to what is fitted,
    so that held-out spectra are predicted better without it.

    Args:
        labels_ND: Candidates.
        mean_NK: Components of their spectra, in units of the noise.
    """
    step = max(1, len(labels_ND) // _FITTED)
    x_ND, y_NK = labels_ND[::step], mean_NK[::step].astype(np.float64)
    x_ND = 2.0 * (x_ND - x_ND.min(0)) / np.maximum(np.ptp(x_ND, axis=0), np.finfo(np.float64).tiny) - 1.0
    kept = list(range(x_ND.shape[1]))
    error = _held_out(x_ND[:, kept], y_NK)
    while kept:
        without = [(_held_out(x_ND[:, [d for d in kept if d != left]], y_NK), left) for left in kept]
        best, left = min(without)
        if best > error:
            return kept
        kept.remove(left)
        error = best
    return kept


def fit_prior(labels_ND: np.ndarray, names: tuple[str, ...], seed: int) -> LabelPrior:
    """The distribution of labels in the training set."""
    quantile_QD = np.quantile(labels_ND, np.linspace(0.0, 1.0, min(len(labels_ND), _QUANTILES)), axis=0)
    shape = names, quantile_QD, labels_ND.mean(0)
    step = max(1, len(labels_ND) // (4 * _FITTED))
    true_ND = ranks(labels_ND[::step])
    rng = np.random.default_rng(seed % 2**63)
    # Each label by itself: the same distributions one by one, without what ties them together.
    shuffled_ND = rng.permuted(true_ND, axis=0)
    exponents_PD = _exponents(len(names))
    if not len(exponents_PD):
        return LabelPrior(*shape, exponents_PD, np.zeros(0), 0.0)
    weights_P, gain = _odds(_polynomials(true_ND, exponents_PD), _polynomials(shuffled_ND, exponents_PD))
    return LabelPrior(*shape, exponents_PD, weights_P if gain > _GAIN else np.zeros(0), gain)


def _exponents(labels: int) -> np.ndarray:
    """Degrees of all products of two labels or more, of at most the total degree that leaves few enough of them."""
    for degree in range(_DEGREE, 1, -1):
        found = [row for row in _total_degree(labels, degree) if sum(exponent > 0 for exponent in row) >= 2]
        if len(found) <= _MOST_POLYNOMIALS:
            return np.array(found, int).reshape(len(found), labels)
    return np.zeros((0, labels), int)


def _total_degree(labels: int, degree: int) -> list[tuple[int, ...]]:
    """All rows of exponents whose sum is at most the degree."""
    rows = {tuple([0] * labels)}
    for chosen in itertools.combinations_with_replacement(range(labels), degree):
        for length in range(1, degree + 1):
            row = [0] * labels
            for label in chosen[:length]:
                row[label] += 1
            rows.add(tuple(row))
    return sorted(rows)


def _polynomials(rank_MD: np.ndarray, exponents_PD: np.ndarray) -> np.ndarray:
    """Products of normalised Legendre polynomials of ranks, float64 (M, P)."""
    powers = [_legendre(2.0 * rank_MD[:, d] - 1.0, int(exponents_PD.max())) for d in range(rank_MD.shape[1])]
    product_MP = np.ones((len(rank_MD), len(exponents_PD)))
    for d, power_ME in enumerate(powers):
        product_MP *= power_ME[:, exponents_PD[:, d]]
    return product_MP


def _legendre(x_M: np.ndarray, degree: int) -> np.ndarray:
    return np.asarray(np.polynomial.legendre.legvander(x_M, degree) * np.sqrt(2.0 * np.arange(degree + 1) + 1.0))


def _odds(true_NP: np.ndarray, shuffled_NP: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights whose products are the log of the ratio of two densities, and the held-out gain in nats."""
    fitted, held = np.arange(len(true_NP)) % 4 != 0, np.arange(len(true_NP)) % 4 == 0
    x_MP = np.concatenate([true_NP[fitted], shuffled_NP[fitted]])
    y_M = np.repeat([1.0, 0.0], fitted.sum())
    weights_P, ridge = np.zeros(x_MP.shape[1]), 1e-3 * len(x_MP)
    for _ in range(20):
        # Newton's steps of a logistic regression, real against shuffled: its log odds are the log of the densities'
        # ratio.
        odds_M = 1.0 / (1.0 + np.exp(-np.clip(x_MP @ weights_P, -30.0, 30.0)))
        curvature_PP = (x_MP * (odds_M * (1.0 - odds_M))[:, None]).T @ x_MP + ridge * np.eye(len(weights_P))
        step_P = np.linalg.solve(curvature_PP, x_MP.T @ (y_M - odds_M) - ridge * weights_P)
        weights_P += step_P
        if np.abs(step_P).max() < 1e-4:
            break
    # The gain of a density q r / Z over q, on held-out spectra.
    log_total = np.log(np.exp(shuffled_NP[held] @ weights_P).mean())
    return weights_P, float((true_NP[held] @ weights_P).mean() - log_total)


def _held_out(x_ND: np.ndarray, y_NK: np.ndarray) -> float:
    """Mean squared error of polynomials on every fourth spectrum, fitted to the others."""
    degree = 3 if x_ND.shape[1] <= 10 else 2
    design_NP = _design(x_ND, degree)
    held_N = np.arange(len(x_ND)) % 4 == 0
    fitted_MP = design_NP[~held_N]
    gram_PP = fitted_MP.T @ fitted_MP
    gram_PP += 1e-9 * np.trace(gram_PP) / len(gram_PP) * np.eye(len(gram_PP))
    weights_PK = np.linalg.solve(gram_PP, fitted_MP.T @ y_NK[~held_N])
    return float(np.square(y_NK[held_N] - design_NP[held_N] @ weights_PK).sum(1).mean())


def _design(x_ND: np.ndarray, degree: int) -> np.ndarray:
    if not x_ND.shape[1]:
        return np.ones((len(x_ND), 1))
    return _polynomials((x_ND + 1.0) / 2.0, np.array(_total_degree(x_ND.shape[1], degree), int))
