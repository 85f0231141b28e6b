"""Down along half a cosine to `final_lr_fraction` of the highest rate or `lr_floor`, the higher of both."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress, cosine_between


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    lowest = max(highest * fit.final_lr_fraction, fit.lr_floor)
    return cosine_between(highest, lowest, progress.after_warmup / progress.left_by_warmup)


SCHEDULE = _rate
