"""Up, then far down, as in torch's OneCycleLR (Smith and Topin 2017)."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress, cosine_between

_START, _END = 1 / 25, 1 / 250_000
"""First and last rate, as parts of the highest."""


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    return highest * _part_of_highest(progress.after_warmup, progress.left_by_warmup, fit.one_cycle_rise)


def _part_of_highest(step: int, steps: int, rise: float) -> float:
    """The peak and the end fall on steps, as torch places them."""
    peak = max(0.0, rise * steps - 1.0)
    if step <= peak:
        return cosine_between(_START, 1.0, step / peak if peak else 1.0)
    return cosine_between(1.0, _END, (step - peak) / (steps - 1.0 - peak))


SCHEDULE = _rate
