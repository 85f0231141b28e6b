"""Times `step_factor` whenever `plateau_patience` epochs have brought no gain."""

from spectral_search.spec.fit import FitSpec
from spectral_search.train.techniques.schedule import Progress


def _rate(highest: float, fit: FitSpec, progress: Progress) -> float:
    return highest * fit.step_factor**progress.drops


SCHEDULE = _rate
