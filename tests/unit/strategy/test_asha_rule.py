"""ASHA: rungs, promotion, and that it decides as Optuna's own successive halving does."""

import random
from collections.abc import Iterator

import optuna
import pytest

from spectral_search.spec.search import SearchSpec
from spectral_search.strategy.asha_rule import Asha, survives
from spectral_search.strategy.none_rule import NoRule
from spectral_search.task.metric import Metric

optuna.logging.set_verbosity(optuna.logging.WARNING)
METRIC = Metric("r2", "R2", higher_is_better=True)
NAN = float("nan")


def rule(**search: int) -> Asha:
    return Asha(SearchSpec(**search), 100, METRIC)


@pytest.mark.parametrize(
    ("first", "factor", "epochs", "rungs"),
    [
        (1, 3, 27, {1, 3, 9}),
        (1, 3, 28, {1, 3, 9, 27}),
        (5, 3, 100, {5, 15, 45}),
        (5, 2, 5, set()),
        (5, 2, 4, set()),
    ],
)
def test_rungs_are_powers_below_the_last_epoch(first: int, factor: int, epochs: int, rungs: set[int]) -> None:
    assert set(rule(min_epochs=first, reduction_factor=factor).rungs(epochs)) == rungs


def test_without_pruner_there_are_no_rungs() -> None:
    assert NoRule(SearchSpec(), 100, METRIC).rungs(100) == []


@pytest.mark.parametrize(
    ("value", "others", "goes_on"),
    [
        (0.5, [], True),  # nobody to compare with
        (0.5, [0.6], False),  # fewer than the factor: only the best so far
        (0.6, [0.5], True),
        (0.4, [0.1, 0.2, 0.3, 0.5, 0.0], True),  # second of six, of which two go on
        (0.3, [0.1, 0.2, 0.4, 0.5, 0.0], False),
        (float("nan"), [0.1], False),
        (float("inf"), [0.1], False),
        (0.4, [NAN, 0.5, NAN, 0.3, NAN], True),  # what is no number leaves the order of the others
    ],
)
def test_one_in_three_goes_on(value: float, others: list[float], goes_on: bool) -> None:
    assert survives(value, [*others, value], 3) is goes_on


def values(seed: int, trials: int, epochs: int) -> Iterator[list[float]]:
    rng = random.Random(seed)
    for _ in range(trials):
        yield [round(rng.random(), 2) for _ in range(epochs)]  # rounded, so that there are ties


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_decides_as_optuna(factor: int) -> None:
    """Optuna has no exception for the last epoch, so a trial has one more here than Optuna is told of."""
    epochs = 30
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=factor)
    study = optuna.create_study(direction="maximize", pruner=pruner, sampler=optuna.samplers.RandomSampler())
    rungs, seen = rule(min_epochs=2, reduction_factor=factor).rungs(epochs + 1), {}
    stopped = 0
    for reports in values(factor, 60, epochs):
        trial = study.ask()
        for epoch, value in enumerate(reports, start=1):
            trial.report(value, epoch)
            ours = False
            if epoch in rungs:
                ours = not survives(value, [*seen.setdefault(epoch, []), value], factor)
                seen[epoch].append(value)
            assert trial.should_prune() is ours, (trial.number, epoch)
            if ours:
                stopped += 1
                break
        study.tell(trial, max(reports), optuna.trial.TrialState.COMPLETE)
    assert 10 < stopped < 60
