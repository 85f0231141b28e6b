"""Up, then far down, as in torch's OneCycleLR (Smith and Topin 2017)."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress, cosine_between

_START, _END = 1 / 25, 1 / 250_000
"""First and last rate, as parts of the highest."""
_HIGH_BETA, _LOW_BETA = 0.95, 0.85
"""The first beta of AdamW at the lowest rates and at the highest, torch's own."""


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    return highest * _part_of_highest(progress.after_warmup, progress.left_by_warmup, fit.one_cycle_rise)


def _part_of_highest(step: int, steps: int, rise: float) -> float:
    return _course(step, steps, rise, (_START, 1.0, _END))


def _course(step: int, steps: int, rise: float, through: tuple[float, float, float]) -> float:
    """Between three values; the peak and the end fall on steps, as torch places them."""
    start, middle, end = through
    peak = max(0.0, rise * steps - 1.0)
    if step <= peak:
        return cosine_between(start, middle, step / peak if peak else 1.0)
    return cosine_between(middle, end, (step - peak) / (steps - 1.0 - peak))


def first_betas(fit: FitSpec, steps: range, steps_per_epoch: int) -> list[float] | None:
    """AdamW's first beta at successive steps; None where it stays as it is."""
    if fit.schedule != "one_cycle" or not fit.one_cycle_momentum:
        return None
    warmup = round(fit.warmup_epochs * steps_per_epoch)
    left, through = fit.epochs * steps_per_epoch - warmup, (_HIGH_BETA, _LOW_BETA, _HIGH_BETA)
    return [_course(max(0, step - warmup), left, fit.one_cycle_rise, through) for step in steps]


SCHEDULE = _rate
