"""What reports rest on: where a curve is at its plateau, and runs that do not belong together."""

import pytest

from spectral_search.errors import RequestError
from spectral_search.record.evidence import load_evidence, plateau_epoch
from spectral_search.task.metric import Metric

HIGHER = Metric("score", "score", higher_is_better=True, tolerance=0.005)
LOWER = Metric("error", "error", higher_is_better=False, tolerance=0.5)


def test_the_plateau_begins_within_the_tolerance_of_the_best() -> None:
    assert plateau_epoch([(1, 0.1), (2, 0.46), (3, 0.497), (4, 0.50), (5, 0.48)], HIGHER) == 3
    assert plateau_epoch([(1, 9.0), (2, 3.6), (3, 3.4), (4, 3.0), (5, 4.0)], LOWER) == 3
    assert plateau_epoch([], LOWER) is None


def test_without_a_finished_run_it_is_said(tmp_path) -> None:
    with pytest.raises(RequestError, match="holds no finished run"):
        load_evidence(tmp_path)
