"""The ceiling: the posterior mean E[log g | noisy spectrum], which no predictor that sees the flux can beat on average.

In the subspace of the signal a spectrum y is K numbers, and p(y | labels) is Gaussian with the mean m(labels, noise)
of `emulator` and a covariance C that depends on the noise alone to about a percent. So templates cost little: labels
are drawn from their distribution in the training set (`label_prior`), as many as it takes, and

    log w_ti = log p(labels_i) / q(labels_i) - (y_t - m_i)^T C_t^-1 (y_t - m_i) / 2

with the noise of each spectrum read off its own flux outside the subspace (`signal_space`). The weighted mean of log g
is an estimator, made of the training set and the flux alone: its R2 on test spectra is a **lower bound** of the
ceiling, as that of any predictor is. The **upper estimate** is what the posteriors promise, 1 - mean(posterior
variance) / var(log g). With a right emulator, enough templates and noise as modelled the two agree: mean squared error
over mean posterior variance is 1, and is told.

What it does not say: how well the emulator knows spectra between the training spectra beyond its held-out error, and
what the 0.4% of one component's noise are worth that lie outside the subspace.

Where spectra have no such subspace, or numbers in the label table do not make the spectra, the training spectra
themselves are the templates (`pixel_templates`), and a sentence says why.

The **Fisher bound** beside it (Cramer and Rao) is another thing: 1 / sqrt of what an estimator without bias could reach
at a star's own labels. It knows nothing of how stars are distributed, and at low S/N networks, which do, beat it.
Shape suffixes: T evaluation spectra, P of a piece, B templates of a block, U levels of the noise, K components, D
labels.
"""

from dataclasses import dataclass, replace

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.tasks.spectra.baselines import dense_posterior, pixel_templates
from spectral_search.tasks.spectra.baselines.emulator import fit_emulator
from spectral_search.tasks.spectra.baselines.label_prior import determining, fit_noise_prior, fit_prior, ranks, varying
from spectral_search.tasks.spectra.baselines.problem import Outcome, Problem
from spectral_search.tasks.spectra.baselines.signal_space import Signal, observe
from spectral_search.tasks.spectra.shards.labels import numeric_labels

_FEWEST_TRAIN = 1000
"""Training spectra below which no emulator is tried."""
WORST_ERROR = 1.0
"""Of the emulator, in units of the noise and over all components together."""
_MOST_INVALID = 1e-3
"""Part of the values of evaluation spectra that may be invalid in these alone: they pull components to the mean."""
_FISHER_SPECTRA = 2048


class UnfitError(Exception):
    """Why the ceiling cannot be computed from emulated spectra; a sentence."""


def fit_predict(problem: Problem) -> Outcome:
    """Posterior mean of the evaluation spectra, at most the first 10,000, the first draw of each.

    Raises:
        RequestError: There is no noise, so that chi2 is not defined.
    """
    if problem.noise_level == 0.0:
        raise RequestError("The ceiling needs noise: at noise level 0 the flux is known exactly and chi2 is undefined.")
    try:
        return _emulated(problem)
    except UnfitError as reason:
        outcome = pixel_templates.fit_predict(problem)
        told = f"The ceiling's templates are the training spectra themselves: {reason}"
        return replace(outcome, warnings=(told, *outcome.warnings))


def _emulated(problem: Problem) -> Outcome:
    spectra = len(problem.train)
    if spectra < _FEWEST_TRAIN:
        raise UnfitError(f"{spectra:,} are too few to emulate others between them (at least {_FEWEST_TRAIN:,}).")
    label_ND, names = _labels(problem)
    signal = _signal(problem)
    observed = observe(problem, signal, pixel_templates.MOST_SPECTRA)
    if observed.invalid > _MOST_INVALID:
        raise UnfitError(f"{observed.invalid:.2%} of the values of {problem.part} are invalid in single spectra alone.")
    kept = varying(label_ND, names)
    kept = [kept[place] for place in determining(label_ND[:, kept], signal.train.mean_NK)]
    label_ND, names = label_ND[:, kept], tuple(names[place] for place in kept)
    if "log_g" not in names:
        raise UnfitError("log g makes no difference to them that could be emulated.")
    prior = fit_prior(label_ND, names, problem.seed)
    if prior.tied:
        raise UnfitError(f"their labels {', '.join(names)} follow from each other too closely to be drawn anew.")
    emulator = fit_emulator(label_ND, signal.log_noise_N, signal.train.mean_NK, problem.seed, problem.told)
    if emulator.error > WORST_ERROR:
        raise UnfitError(
            f"an emulator of {', '.join(names)} misses held-out spectra by {emulator.error:.2g} times their noise."
        )
    # The log of the mean of L squared normal deviates has a variance of 2 / L, for many L.
    spread = (2.0 / int(signal.prep.valid_L.sum())) ** 0.5
    noise = fit_noise_prior(ranks(label_ND), signal.log_noise_N, spread)
    model = dense_posterior.Model(signal, emulator, prior, noise)
    found = dense_posterior.dense_posterior(model, observed, problem.seed, problem.told)
    return _outcome(problem, model, found, _fisher(model, label_ND))


def _labels(problem: Problem) -> tuple[np.ndarray, tuple[str, ...]]:
    """Every label of the training spectra that is a number."""
    selection = problem.train.selection
    try:
        labels = numeric_labels(selection.shards).iloc[selection.rows_N]
    except RequestError as fault:
        raise UnfitError(f"their labels cannot all be read: {' '.join(fault.faults)}") from fault
    return labels.to_numpy(np.float64), tuple(map(str, labels.columns))


def _signal(problem: Problem) -> Signal:
    try:
        return problem.signal
    except RequestError as fault:
        raise UnfitError("it holds noise of its own.") from fault


@dataclass(frozen=True)
class Fisher:
    """Variance of log g that an estimator without bias cannot go below, at labels of training spectra, dex^2."""

    bound_M: np.ndarray


def _fisher(model: dense_posterior.Model, label_ND: np.ndarray) -> Fisher:
    """The bound with all labels unknown: (J^T C^-1 J)^-1, with J the emulator's derivatives."""
    rows_M = np.unique(np.linspace(0, len(label_ND) - 1, _FISHER_SPECTRA).astype(int))
    slope_MKD = model.emulator.slopes(label_ND[rows_M], model.signal.log_noise_N[rows_M])
    slope_MKD *= model.emulator.range_D  # of labels in units of their ranges: the matrices are better conditioned
    solved_MKD = np.linalg.solve(model.signal.covariance(rows_M), slope_MKD)
    information_MDD = np.einsum("mkd,mke->mde", slope_MKD, solved_MKD)
    place = model.prior.names.index("log_g")
    # Where a label makes no difference the matrix is singular; in these units 1e-12 is small beside all else.
    inverse_MDD = np.linalg.inv(information_MDD + 1e-12 * np.eye(information_MDD.shape[1]))
    return Fisher(inverse_MDD[:, place, place] * model.emulator.range_D[place] ** 2)


def _outcome(
    problem: Problem, model: dense_posterior.Model, found: dense_posterior.Posterior, fisher: Fisher
) -> Outcome:
    true_T = problem.labels["log_g"].to_numpy(np.float64)[: len(found.mean_T)]
    variance = float(true_T.var())
    square_T, promised = np.square(found.mean_T - true_T), float(found.variance_T.mean())
    facts = {
        "effective_templates": float(np.median(found.effective_T)),
        "templates": found.templates,
        "upper_estimate": 1.0 - promised / variance,
        "error_over_promise": float(square_T.mean()) / promised,
        "error_over_promise_std": float(square_T.std()) / len(square_T) ** 0.5 / promised,
        "template_loss": found.loss / variance,
        "labels": list(model.prior.names),
        "components": model.signal.train.mean_NK.shape[1],
        "emulator_error": model.emulator.error,
        "emulator_median_error": model.emulator.median_error,
        "fisher_r2": 1.0 - float(fisher.bound_M.mean()) / variance,
        "fisher_median_dex": float(np.sqrt(np.median(fisher.bound_M))),
    }
    columns = {"log_g_std": np.sqrt(found.variance_T), "effective_templates": found.effective_T}
    return Outcome(found.mean_T[None], columns=columns, facts=facts, warnings=_warnings(facts))


def _warnings(facts: dict[str, float]) -> tuple[str, ...]:
    off = abs(facts["error_over_promise"] - 1.0)
    # Four standard errors, and 2% in any case: of many spectra a difference without consequence would be significant.
    if off <= max(0.02, 4.0 * facts["error_over_promise_std"]):
        return ()
    told = (
        f"The ceiling's errors are {facts['error_over_promise']:.2f} times what its posteriors promise: the spectra "
        "measured on differ from the training spectra, or from their noise, in ways that templates do not show, and "
        "the upper estimate is too high."
    )
    return (told,)
