"""Every metric of every task: its direction is that of its numbers, and resampling says the same as computing it."""

import math
from typing import NamedTuple

import numpy as np
import pytest

from spectral_search.record.resampling import interval, sampled_values
from spectral_search.spec.task_modules import task_names
from spectral_search.task.measure import value_of
from spectral_search.task.metric import Metric
from spectral_search.task.registry import task_of
from spectral_search.task.task import Task

TASKS = [task_of(name) for name in task_names()]
CASES = [pytest.param(task, metric, id=f"{task.name}-{metric.name}") for task in TASKS for metric in task.metrics]
RNG = np.random.default_rng(0)
ERROR_DN = RNG.normal(0.0, 1.0, (2, 300))
PART_N = RNG.random(300) > 0.5


class Told(NamedTuple):
    """Targets, and predictions of two kinds for them in two draws."""

    target_N: np.ndarray
    good_DN: np.ndarray
    bad_DN: np.ndarray


ERROR_DNO, SEVERAL_NO = RNG.normal(0.0, 1.0, (2, 300, 24)), RNG.uniform(1.0, 5.0, (300, 24))
NUMBERS_N = RNG.uniform(1.0, 5.0, 300)
ANSWERS_N = RNG.integers(0, 2, 300).astype(np.float64)
TOLD = {
    "numbers": Told(NUMBERS_N, NUMBERS_N + 0.2 * ERROR_DN, NUMBERS_N + 0.8 * ERROR_DN),
    "several": Told(SEVERAL_NO, SEVERAL_NO + 0.2 * ERROR_DNO, SEVERAL_NO + 0.8 * ERROR_DNO),
    # Logits, some of them of the wrong sign.
    "answers": Told(ANSWERS_N, 2 * ANSWERS_N - 1 + 0.6 * ERROR_DN, 2 * ANSWERS_N - 1 + 2.0 * ERROR_DN),
}
KINDS = {"pairs": "answers", "traffic": "several"}
"""What a task's predictions are of, where they are not of one number."""


def told_of(task: Task) -> Told:
    return TOLD[KINDS.get(task.name, "numbers")]


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_smaller_errors_are_better(task: Task, metric: Metric) -> None:
    target_N, *predictions = told_of(task)
    good, bad = (task.scores(predicted_DN, target_N)[metric.name] for predicted_DN in predictions)
    assert metric.better(good, bad) and not metric.better(bad, good)
    assert metric.reaches(good, bad) and metric.gain(good) > metric.gain(bad)
    assert not metric.better(metric.held(-metric.gain(math.inf)), bad)


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_a_function_of_sums_is_the_score(task: Task, metric: Metric) -> None:
    target_N, good_DN, _ = told_of(task)
    told = task.scores(good_DN[:1], target_N)[metric.name]
    assert value_of(metric.measure, good_DN[:1], target_N) == pytest.approx(told, abs=1e-12)
    assert metric.measure.by_draw(good_DN, target_N)[0] == pytest.approx(told, abs=1e-12)
    low, high = interval(metric.measure, good_DN[:1], target_N, seed=1)
    assert low < told < high


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_a_part_is_measured_as_if_it_were_all(task: Task, metric: Metric) -> None:
    target_N, good_DN, bad_DN = told_of(task)
    errors_N2 = np.column_stack([metric.measure.errors(predicted_DN, target_N) for predicted_DN in (good_DN, bad_DN)])
    value_K, sample_RK = sampled_values(metric.measure, errors_N2, target_N, seed=3, resamples=20, part_N=PART_N)
    alone = value_of(metric.measure, good_DN[:, PART_N], target_N[PART_N])
    assert value_K[0] == pytest.approx(alone, abs=1e-12) and sample_RK.shape == (20, 2)
    assert all(metric.better(*pair) for pair in sample_RK)


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_names_are_keys(task: Task, metric: Metric) -> None:
    assert metric.name.isidentifier() and metric.label and metric.digits >= 0
    assert [other.name for other in task.metrics].count(metric.name) == 1
