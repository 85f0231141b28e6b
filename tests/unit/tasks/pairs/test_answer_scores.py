"""What logits are worth, beside scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from spectral_search.task.measure import value_of
from spectral_search.tasks.pairs.answer_scores import Accuracy, AreaUnderCurve, LogLoss, probability

RNG = np.random.default_rng(0)
SAME_N = RNG.integers(0, 2, 200).astype(np.float32)
LOGIT_N = (RNG.normal(0.0, 2.0, 200) + SAME_N).astype(np.float32)


def test_scores_are_those_of_scikit_learn() -> None:
    assert value_of(Accuracy(), LOGIT_N, SAME_N) == accuracy_score(SAME_N, LOGIT_N > 0)
    assert value_of(LogLoss(), LOGIT_N, SAME_N) == pytest.approx(log_loss(SAME_N, probability(LOGIT_N)), rel=1e-9)
    for logit_N in (LOGIT_N, LOGIT_N.round(), -LOGIT_N):
        assert value_of(AreaUnderCurve(), logit_N, SAME_N) == pytest.approx(roc_auc_score(SAME_N, logit_N), rel=1e-12)


def test_an_area_of_a_sample_is_that_of_its_pairs() -> None:
    rows = RNG.integers(0, 200, 300)
    times_1N = np.bincount(rows, minlength=200)[None]
    sampled = AreaUnderCurve().of_times(np.column_stack([LOGIT_N, LOGIT_N.round()]), SAME_N, times_1N)
    for got, logit_N in zip(sampled[0], (LOGIT_N, LOGIT_N.round()), strict=True):
        assert got == pytest.approx(roc_auc_score(SAME_N[rows], logit_N[rows]), rel=1e-12)
    assert np.isnan(value_of(AreaUnderCurve(), LOGIT_N, np.ones(200)))


def test_draws_are_averaged_and_told_alone() -> None:
    both_DN = np.stack([LOGIT_N, -LOGIT_N])
    assert value_of(Accuracy(), both_DN, SAME_N) == pytest.approx(0.5)
    first, second = Accuracy().by_draw(both_DN, SAME_N)
    assert first + second == pytest.approx(1.0) and first > second


def test_a_logit_that_is_no_number_is_told() -> None:
    broken_N = np.where(np.arange(200) == 3, np.nan, LOGIT_N)
    assert all(np.isnan(value_of(measure, broken_N, SAME_N)) for measure in (Accuracy(), AreaUnderCurve(), LogLoss()))


def test_sure_answers_cost_no_overflow() -> None:
    assert value_of(LogLoss(), np.array([-900.0, 900.0]), np.array([0.0, 1.0])) == 0.0
    assert value_of(LogLoss(), np.array([900.0]), np.array([0.0])) == 900.0
    assert probability(np.array([-900.0, 0.0, 900.0])).tolist() == [0.0, 0.5, 1.0]
