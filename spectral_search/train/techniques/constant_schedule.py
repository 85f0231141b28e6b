"""The same rate throughout."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    return highest


SCHEDULE = _rate
