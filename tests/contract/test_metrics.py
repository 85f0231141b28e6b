"""Every metric of every task: its direction is that of its numbers, and resampling says the same as computing it."""

import math

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
TARGET_N = RNG.uniform(1.0, 5.0, 300)
ERROR_DN = RNG.normal(0.0, 1.0, (2, 300))
GOOD_DN, BAD_DN = TARGET_N + 0.2 * ERROR_DN, TARGET_N + 0.8 * ERROR_DN


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_smaller_errors_are_better(task: Task, metric: Metric) -> None:
    good, bad = (task.scores(predicted_DN, TARGET_N)[metric.name] for predicted_DN in (GOOD_DN, BAD_DN))
    assert metric.better(good, bad) and not metric.better(bad, good)
    assert metric.reaches(good, bad) and metric.gain(good) > metric.gain(bad)
    assert not metric.better(metric.held(-metric.gain(math.inf)), bad)


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_a_function_of_sums_is_the_score(task: Task, metric: Metric) -> None:
    told = task.scores(GOOD_DN[:1], TARGET_N)[metric.name]
    assert value_of(metric.measure, GOOD_DN[:1], TARGET_N) == pytest.approx(told, abs=1e-12)
    assert metric.measure.by_draw(GOOD_DN, TARGET_N)[0] == pytest.approx(told, abs=1e-12)
    low, high = interval(metric.measure, GOOD_DN[:1], TARGET_N, seed=1)
    assert low < told < high


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_a_part_is_measured_as_if_it_were_all(task: Task, metric: Metric) -> None:
    part_N = TARGET_N > 3.0
    errors_N2 = np.column_stack([metric.measure.errors(predicted_DN, TARGET_N) for predicted_DN in (GOOD_DN, BAD_DN)])
    value_K, sample_RK = sampled_values(metric.measure, errors_N2, TARGET_N, seed=3, resamples=20, part_N=part_N)
    alone = value_of(metric.measure, GOOD_DN[:, part_N], TARGET_N[part_N])
    assert value_K[0] == pytest.approx(alone, abs=1e-12) and sample_RK.shape == (20, 2)
    assert all(metric.better(*pair) for pair in sample_RK)


@pytest.mark.parametrize(("task", "metric"), CASES)
def test_names_are_keys(task: Task, metric: Metric) -> None:
    assert metric.name.isidentifier() and metric.label and metric.digits >= 0
    assert [other.name for other in task.metrics].count(metric.name) == 1
