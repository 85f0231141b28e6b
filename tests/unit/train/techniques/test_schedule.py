"""Learning-rate schedules equal torch's own, step by step."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from spectral_search.spec.fit import FitSpec
from spectral_search.spec.name_registry import SCHEDULES
from spectral_search.task.metric import Metric
from spectral_search.train.techniques.schedule import Progress, first_betas, learning_rate, plateau_drops

STEPS = 7
"""Steps of an epoch."""
LR = 0.02
HIGHER = Metric("score", "score", higher_is_better=True)
LOWER = Metric("error", "error", higher_is_better=False)


def ours(fit: FitSpec) -> np.ndarray:
    return np.array([learning_rate(fit, fit.lr, step, STEPS) for step in range(fit.epochs * STEPS)])


def torch_rates(
    make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int, every: int = 1
) -> np.ndarray:
    """What torch's schedule gives at each step; it moves on after `every` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    schedule = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0 and step + 1 < steps:
            schedule.step()
    return np.array(rates)


def test_constant() -> None:
    assert (ours(FitSpec(epochs=5, lr=LR)) == LR).all()


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine(final: float) -> None:
    fit = FitSpec(epochs=6, lr=LR, schedule="cosine", final_lr_fraction=final)
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 6 * STEPS, eta_min=final * LR), 6 * STEPS)
    np.testing.assert_allclose(ours(fit), expected, rtol=1e-6)


@pytest.mark.parametrize("lr", [LR, 10 * LR])
def test_cosine_ends_at_the_floor_whatever_lr_is(lr: float) -> None:
    floor = 1e-3
    fit = FitSpec(epochs=6, lr=lr, schedule="cosine", lr_floor=floor, warmup_epochs=1)
    expected = floor + (lr - floor) * 0.5 * (1.0 + np.cos(np.pi * np.arange(5 * STEPS) / (5 * STEPS)))
    np.testing.assert_allclose(ours(fit)[STEPS:], expected, rtol=1e-6)
    higher = FitSpec(epochs=6, lr=lr, schedule="cosine", lr_floor=floor, final_lr_fraction=0.5)
    assert ours(higher).min() > 0.5 * lr, "the higher of both counts"


@pytest.mark.parametrize("epochs", [1, 6, 20])
def test_one_cycle(epochs: int) -> None:
    fit = FitSpec(epochs=epochs, lr=LR, schedule="one_cycle")
    expected = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(o, LR, total_steps=epochs * STEPS, cycle_momentum=False), epochs * STEPS
    )
    np.testing.assert_allclose(ours(fit), expected, rtol=1e-6)
    assert ours(fit)[-1] == pytest.approx(LR / 250_000)


@pytest.mark.parametrize("rise", [0.1, 0.5, 0.9])
def test_one_cycle_rises_for_as_long_as_it_is_told(rise: float) -> None:
    fit, steps = FitSpec(epochs=8, lr=LR, schedule="one_cycle", one_cycle_rise=rise), 8 * STEPS
    expected = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(o, LR, total_steps=steps, pct_start=rise, cycle_momentum=False), steps
    )
    np.testing.assert_allclose(ours(fit), expected, rtol=1e-6)


@pytest.mark.parametrize("rise", [0.1, 0.3, 0.9])
def test_one_cycle_takes_the_first_beta_along(rise: float) -> None:
    recipe = {"epochs": 8, "lr": LR, "schedule": "one_cycle", "one_cycle_rise": rise}
    fit, steps = FitSpec.model_validate({**recipe, "one_cycle_momentum": True}), 8 * STEPS
    optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=LR)
    schedule, expected = lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=rise), []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        if len(expected) < steps:
            schedule.step()
    found = first_betas(fit, range(steps), STEPS)
    np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-9)
    assert first_betas(fit, range(STEPS, 2 * STEPS), STEPS) == found[STEPS : 2 * STEPS], "of a resumed epoch"
    for still in ({"one_cycle_momentum": False}, {"one_cycle_momentum": True, "schedule": "cosine"}):
        assert first_betas(FitSpec.model_validate({**recipe, **still}), range(steps), STEPS) == [None] * steps


class Own:
    """A schedule of another package."""

    def __call__(self, highest: float, fit: FitSpec, progress: Progress) -> float:
        return highest

    def first_beta(self, fit: FitSpec, progress: Progress) -> float | None:
        return progress.after_warmup / 1000 if progress.drops else None


def test_any_schedule_may_move_the_first_beta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEDULES._added, "own", Own())
    fit = FitSpec(epochs=3, lr=LR, schedule="own", warmup_epochs=1)
    assert first_betas(fit, range(5, 10), STEPS, drops=1) == [0.0, 0.0, 0.0, 0.001, 0.002]
    assert first_betas(fit, range(5, 10), STEPS) == [None] * 5


@pytest.mark.parametrize("factor", [1, 2, 3])
@pytest.mark.parametrize("floor", [0.0, 1e-5])
def test_warm_restarts(factor: int, floor: float) -> None:
    fit = FitSpec(epochs=20, lr=LR, schedule="warm_restarts", restart_epochs=2, restart_factor=factor, lr_floor=floor)
    expected = torch_rates(
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 2 * STEPS, factor, eta_min=floor), 20 * STEPS
    )
    np.testing.assert_allclose(ours(fit), expected, rtol=1e-6, atol=1e-15)
    assert np.flatnonzero(ours(fit) == LR).tolist()[:2] == [0, 2 * STEPS]


def test_warm_restarts_begin_after_the_warm_up() -> None:
    recipe = {"epochs": 9, "lr": LR, "schedule": "warm_restarts", "restart_epochs": 2}
    warm, plain = (ours(FitSpec.model_validate({**recipe, "warmup_epochs": epochs})) for epochs in (1.0, 0.0))
    np.testing.assert_array_equal(warm[STEPS:], plain[:-STEPS])


def test_one_cycle_of_a_few_steps_stays_within_its_bounds() -> None:
    for steps in range(1, 8):
        fit = FitSpec(epochs=steps, lr=LR, schedule="one_cycle")
        rates = [learning_rate(fit, fit.lr, step, 1) for step in range(steps)]
        assert all(LR / 250_001 <= rate <= LR for rate in rates)


def test_step() -> None:
    fit = FitSpec(epochs=9, lr=LR, schedule="step", step_epochs=2, step_factor=0.3)
    expected = torch_rates(lambda o: lr_scheduler.StepLR(o, 2, 0.3), 9 * STEPS, every=STEPS)
    np.testing.assert_allclose(ours(fit), expected, rtol=1e-12)


def test_warm_up_then_constant() -> None:
    fit = FitSpec(epochs=4, lr=LR, warmup_epochs=1.5)
    warm = round(1.5 * STEPS)
    expected = torch_rates(
        lambda o: lr_scheduler.LinearLR(o, 1.0 / (warm + 1), 1.0, total_iters=warm), fit.epochs * STEPS
    )
    np.testing.assert_allclose(ours(fit), expected, rtol=1e-6)


def test_warm_up_then_cosine_fills_the_steps_that_are_left() -> None:
    fit, warm = FitSpec(epochs=5, lr=LR, schedule="cosine", warmup_epochs=1.0), STEPS
    expected = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, 4 * STEPS), 4 * STEPS)
    np.testing.assert_allclose(ours(fit)[warm:], expected, rtol=1e-6)
    assert (np.diff(ours(fit)[: warm + 1]) > 0).all()


@pytest.mark.parametrize("metric", [HIGHER, LOWER], ids=lambda metric: metric.direction)
def test_plateau(metric: Metric) -> None:
    rng = np.random.default_rng(3)
    scores = [metric.gain(value) for value in np.round(rng.normal(0.0, 1.0, 60).cumsum() * 0.1 + 0.5, 1)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    mode: Literal["min", "max"] = "max" if metric.higher_is_better else "min"
    peer = lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5, patience=3, threshold=0.0, eps=0.0)
    fit = FitSpec(epochs=60, lr=LR, schedule="plateau", step_factor=0.5, plateau_patience=3)
    rates = []
    for epoch, score in enumerate(scores, start=1):
        peer.step(score)
        drops = plateau_drops(fit.plateau_patience, scores[:epoch], metric)
        rates.append(optimizer.param_groups[0]["lr"])
        assert learning_rate(fit, fit.lr, epoch * STEPS, STEPS, drops) == pytest.approx(rates[-1], rel=1e-9)
    assert len(set(rates)) > 3


def test_what_is_a_gain_is_the_objectives_to_say() -> None:
    falling = [3.0, 2.0, 1.0, 0.5]
    assert plateau_drops(1, falling, LOWER) == 0
    assert plateau_drops(1, falling, HIGHER) == 1
