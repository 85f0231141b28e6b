"""The baselines by name, in the order in which they are fitted: quick ones first."""

from spectral_search.tasks.spectra.baselines import ceiling, oracle_mixture, trees
from spectral_search.tasks.spectra.baselines import ridge_baseline as ridge
from spectral_search.tasks.spectra.baselines.on_signal import on_signal
from spectral_search.tasks.spectra.baselines.problem import Baseline

METHODS: dict[str, Baseline] = {
    "ridge": ridge.fit_predict,
    "oracle_mixture": oracle_mixture.fit_predict,
    "ceiling": ceiling.fit_predict,
    "lightgbm": trees.fit_predict,
    "ridge_signal": on_signal(ridge.fit_predict),
    "oracle_mixture_signal": on_signal(oracle_mixture.fit_predict),
    "lightgbm_signal": on_signal(trees.fit_predict),
}
