"""Learning-rate schedules as pure functions of the step, so that a resumed fit needs no scheduler state."""

import math

from spectral_search.spec.fit import FitSpec

ONE_CYCLE_RISE = 0.3
ONE_CYCLE_START = 1 / 25
ONE_CYCLE_END = 1 / 250_000
"""Part of the cycle spent rising, first and last lr / lr, as in torch's OneCycleLR (Smith and Topin 2017)."""


def learning_rate(fit: FitSpec, step: int, steps_per_epoch: int, drops: int = 0) -> float:
    """Learning rate of one step.

    Args:
        fit: The recipe.
        step: Steps done before this one, over all epochs.
        steps_per_epoch: Batches of an epoch.
        drops: Drops of a plateau schedule so far; see `plateau_drops`.
    """
    warmup_steps = round(fit.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return fit.lr * (step + 1) / (warmup_steps + 1)
    # Cosine and one-cycle fill the steps that the warm-up leaves.
    step_after, steps = step - warmup_steps, fit.epochs * steps_per_epoch - warmup_steps
    if fit.schedule == "cosine":
        return _cosine(fit.lr, max(fit.lr * fit.final_lr_fraction, fit.lr_floor), step_after / steps)
    if fit.schedule == "one_cycle":
        return fit.lr * _one_cycle(step_after, steps)
    if fit.schedule == "step":
        return fit.lr * fit.step_factor ** (step // steps_per_epoch // fit.step_epochs)
    if fit.schedule == "plateau":
        return fit.lr * fit.step_factor**drops
    return fit.lr


def plateau_drops(fit: FitSpec, val_r2: list[float]) -> int:
    """How often the plateau schedule has dropped after epochs with these val R2."""
    drops, best, waited = 0, -math.inf, 0
    for value in val_r2:
        if value > best:
            best, waited = value, 0
            continue
        waited += 1
        if waited > fit.plateau_patience:
            drops, waited = drops + 1, 0
    return drops


def _one_cycle(step: int, steps: int) -> float:
    """Part of the highest lr at a step; the peak and the end fall on steps, as torch places them."""
    peak = max(0.0, ONE_CYCLE_RISE * steps - 1.0)
    if step <= peak:
        return _cosine(ONE_CYCLE_START, 1.0, step / peak if peak else 1.0)
    return _cosine(1.0, ONE_CYCLE_END, (step - peak) / (steps - 1.0 - peak))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
