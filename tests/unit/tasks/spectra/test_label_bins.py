"""One set of bins: of the report, of the experts, and fine parts of them for splits."""

import numpy as np
from made_methods import made_labels, made_method

from spectral_search.tasks.spectra.label_bins import BIN_EDGES, STRATA_EDGES
from spectral_search.tasks.spectra.report.score_bins import MIN_SPECTRA, bin_scores
from spectral_search.tasks.spectra.training.dataset import oracle_bins


def test_reports_judge_the_bins_that_experts_are_told() -> None:
    """So many spectra lie in each of the one as in each of the other, of labels that fill all nine unevenly."""
    labels = made_labels(1000).assign(M_H=np.random.default_rng(1).uniform(-2.0, 0.5, 1000))
    judged_K = np.zeros(9, int)
    for score in bin_scores(made_method("m", labels=labels)):
        judged_K[3 * score.t_eff + score.m_h] += score.spectra
    np.testing.assert_array_equal(judged_K, np.bincount(oracle_bins(labels)))
    assert len(set(judged_K)) > 6 and judged_K.min() > 0


def test_each_stratum_lies_in_one_bin() -> None:
    assert {label for label, edges in BIN_EDGES.items() if not set(edges) <= set(STRATA_EDGES[label])} == set()


def test_a_thousand_spectra_are_enough_to_judge_every_bin_that_holds_some() -> None:
    scores = bin_scores(made_method("m", labels=made_labels(1000)))
    assert len(scores) == 24 and min(score.spectra for score in scores) >= MIN_SPECTRA
