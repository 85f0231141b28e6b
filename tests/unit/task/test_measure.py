"""Measures as functions of sums, and the metric that docs/extending.md shows."""

from pathlib import Path

import numpy as np
import pytest
from documented_code import install

from spectral_search.record.resampling import interval
from spectral_search.task.measure import MaskedError, MeanError, value_of
from spectral_search.task.metric import Metric

TARGET_N = np.array([1.0, 2.0, 3.0, 10.0])
PREDICTED_DN = np.array([[1.0, 3.0, 1.0, 4.0], [2.0, 2.0, 3.0, 10.0]])


@pytest.mark.parametrize(
    ("measure", "value"),
    [(MeanError(), 10 / 8), (MeanError(2), 42 / 8), (MeanError(2, root=True), (42 / 8) ** 0.5)],
)
def test_means_of_errors(measure: MeanError, value: float) -> None:
    assert value_of(measure, PREDICTED_DN, TARGET_N) == pytest.approx(value)


def test_each_draw_has_its_own_value() -> None:
    assert MeanError().by_draw(PREDICTED_DN, TARGET_N) == [pytest.approx(9 / 4), pytest.approx(1 / 4)]


def test_nothing_counted_is_no_number() -> None:
    error_N1 = MeanError().errors(PREDICTED_DN, TARGET_N)[:, None]
    columns_NC = MeanError().columns(error_N1, TARGET_N, np.zeros(4, bool))
    assert np.isnan(MeanError().of_sums(columns_NC.sum(0, keepdims=True))).all()


NAN = float("nan")
KNOWN_NO = np.array([[1.0, NAN, 3.0, 4.0], [NAN, NAN, NAN, NAN], [10.0, 0.0, NAN, NAN]])
GIVEN_NO = np.array([[2.0, 9.0, 3.0, 6.0], [7.0, 7.0, 7.0, 7.0], [10.0, 4.0, NAN, 5.0]])


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        (MaskedError(), (1 + 0 + 2 + 0 + 4) / 5),
        (MaskedError(2, root=True), ((1 + 4 + 16) / 5) ** 0.5),
        (MaskedError(relative=True), 100 * (1 / 1 + 0 + 2 / 4 + 0) / 4),  # a target of 0 has no relative error
        (MaskedError(step=1, row=2), (2 + 4) / 2),  # the second number of rows of two
    ],
)
def test_what_is_not_known_counts_nowhere_and_an_example_by_what_is(measure: MaskedError, value: float) -> None:
    assert value_of(measure, GIVEN_NO, KNOWN_NO) == pytest.approx(value)
    assert measure.by_draw(np.stack([GIVEN_NO, GIVEN_NO]), KNOWN_NO) == [pytest.approx(value)] * 2


def test_an_unknown_prediction_of_a_known_target_is_no_number() -> None:
    assert np.isnan(value_of(MaskedError(), np.where(GIVEN_NO == 4.0, NAN, GIVEN_NO), KNOWN_NO))


def test_with_one_known_output_it_is_the_plain_mean() -> None:
    for power, root in ((1, False), (2, True)):
        masked = value_of(MaskedError(power, root), PREDICTED_DN[:, :, None], TARGET_N[:, None])
        assert masked == pytest.approx(value_of(MeanError(power, root), PREDICTED_DN, TARGET_N), rel=1e-14)


def test_neighbours_that_are_drawn_together_are_one_witness() -> None:
    """Each error stands there twelve times: told so, an interval is as wide as of the errors alone."""
    draws = np.random.default_rng(0)
    alone_N1, none_N1 = draws.exponential(size=(40, 1)), np.zeros((40, 1))
    alike_N1, many_N1 = np.repeat(alone_N1, 12, axis=0), np.repeat(none_N1, 12, axis=0)
    alone = interval(MaskedError(), alone_N1, none_N1, seed=1)
    together = interval(MaskedError(together=12), alike_N1, many_N1, seed=1)
    apart = interval(MaskedError(), alike_N1, many_N1, seed=1)
    assert together == pytest.approx(alone)
    assert apart[1] - apart[0] < 0.4 * (together[1] - together[0])


def test_the_documented_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install("extending.md", "A metric", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    from car_metrics import METRICS

    mae, missed = METRICS
    assert isinstance(missed, Metric) and (mae.direction, mae.told(1.234)) == ("minimize", "1.23 mpg")
    assert value_of(missed.measure, PREDICTED_DN, TARGET_N) == 1 / 8
    assert missed.better(0.1, 0.2) and missed.val_name == "val_missed"
    low, high = interval(missed.measure, np.tile(PREDICTED_DN, 50), np.tile(TARGET_N, 50), seed=0)
    assert 0.05 < low < 1 / 8 < high < 0.2
