"""Measures as functions of sums, and the metric that docs/extending.md shows."""

from pathlib import Path

import numpy as np
import pytest
from documented_code import install

from spectral_search.record.resampling import interval
from spectral_search.task.measure import MeanError, value_of
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
