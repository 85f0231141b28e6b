"""What a learning-rate schedule is: a pure function of the step, so that a resumed fit needs no scheduler state."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from spectral_search.spec.fit import FitSpec
from spectral_search.spec.name_registry import SCHEDULES
from spectral_search.task.metric import Metric


class Progress(NamedTuple):
    """How far a fit has come, its warm-up behind it.

    Attributes:
        step: Steps done before this one, over all epochs.
        steps_per_epoch: Batches of an epoch.
        warmup_steps: Steps of the warm-up.
        steps: Of the whole fit.
        drops: How often a plateau has dropped so far; see `plateau_drops`.
    """

    step: int
    steps_per_epoch: int
    warmup_steps: int
    steps: int
    drops: int

    @property
    def after_warmup(self) -> int:
        """Steps since the warm-up."""
        return self.step - self.warmup_steps

    @property
    def left_by_warmup(self) -> int:
        """Steps that the warm-up leaves, which schedules over a whole fit fill."""
        return self.steps - self.warmup_steps


Schedule = Callable[[float, FitSpec, Progress], float]
"""(highest rate, recipe, progress) -> the rate of a step; pure, and never below 0."""


@runtime_checkable
class MovesFirstBeta(Protocol):
    """A schedule that moves AdamW's first beta too."""

    def first_beta(self, fit: FitSpec, progress: Progress) -> float | None:
        """That of a step after the warm-up; None where it stays as it is."""


def learning_rate(fit: FitSpec, highest: float, step: int, steps_per_epoch: int, drops: int = 0) -> float:
    """Learning rate of one step for parameters with this highest one, which a linear warm-up leads to.

    Args:
        fit: The recipe.
        highest: `fit.lr`, or what a group of parameters has for it.
        step: Steps done before this one, over all epochs.
        steps_per_epoch: Batches of an epoch.
        drops: Drops of a plateau so far; see `plateau_drops`.
    """
    return learning_rates(fit, highest, range(step, step + 1), steps_per_epoch, drops)[0]


def learning_rates(fit: FitSpec, highest: float, steps: range, steps_per_epoch: int, drops: int = 0) -> list[float]:
    """The same of successive steps, with one look at the recipe."""
    schedule: Schedule = SCHEDULES.find(fit.schedule)
    return [
        # So the first step moves weights already, and the warm-up ends one part short of the highest rate.
        highest * (progress.step + 1) / (progress.warmup_steps + 1)
        if progress.after_warmup < 0
        else schedule(highest, fit, progress)
        for progress in _course(fit, steps, steps_per_epoch, drops)
    ]


def first_betas(fit: FitSpec, steps: range, steps_per_epoch: int, drops: int = 0) -> list[float | None]:
    """AdamW's first beta at successive steps; None where it stays as it is.

    In the warm-up it is that of the first step after it.
    """
    schedule: Schedule = SCHEDULES.find(fit.schedule)
    if not isinstance(schedule, MovesFirstBeta):
        return [None] * len(steps)
    return [
        schedule.first_beta(fit, progress._replace(step=max(progress.step, progress.warmup_steps)))
        for progress in _course(fit, steps, steps_per_epoch, drops)
    ]


def _course(fit: FitSpec, steps: range, steps_per_epoch: int, drops: int) -> list[Progress]:
    warmup_steps, all_steps = round(fit.warmup_epochs * steps_per_epoch), fit.epochs * steps_per_epoch
    return [Progress(step, steps_per_epoch, warmup_steps, all_steps, drops) for step in steps]


def plateau_drops(patience: int, values: Sequence[float], metric: Metric) -> int:
    """How often a plateau has come in epochs with these values of a metric: more than `patience` without gain."""
    drops, best, waited = 0, metric.nothing, 0
    for value in values:
        if metric.better(value, best):
            best, waited = value, 0
            continue
        waited += 1
        if waited > patience:
            drops, waited = drops + 1, 0
    return drops


def cosine_between(start: float, end: float, progress: float) -> float:
    """From start to end along half a cosine, for a progress from 0 to 1; at the end from then on."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
