"""Up, then far down, as in torch's OneCycleLR (Smith and Topin 2017)."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress, cosine_between

_START, _END = 1 / 25, 1 / 250_000
"""First and last rate, as parts of the highest."""
_HIGH_BETA, _LOW_BETA = 0.95, 0.85
"""The first beta of AdamW at the lowest rates and at the highest, torch's own."""


class _OneCycle:
    def __call__(self, highest: float, fit: FitSpec, progress: Progress) -> float:
        return highest * _between(progress, fit.one_cycle_rise, _START, 1.0, _END)

    def first_beta(self, fit: FitSpec, progress: Progress) -> float | None:
        if not fit.one_cycle_momentum:
            return None
        return _between(progress, fit.one_cycle_rise, _HIGH_BETA, _LOW_BETA, _HIGH_BETA)


def _between(progress: Progress, rise: float, start: float, middle: float, end: float) -> float:
    """On the way between three values; the peak and the end fall on steps, as torch places them."""
    step, steps = progress.after_warmup, progress.left_by_warmup
    peak = max(0.0, rise * steps - 1.0)
    if step <= peak:
        return cosine_between(start, middle, step / peak if peak else 1.0)
    return cosine_between(middle, end, (step - peak) / (steps - 1.0 - peak))


SCHEDULE = _OneCycle()
